"""The room of the models that learn beside an agent: forecasting, risk detection, and how both adapt."""
