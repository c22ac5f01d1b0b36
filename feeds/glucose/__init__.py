"""Type-1 diabetes: the simulator of simglucose, driven without the gym that it was written for."""
