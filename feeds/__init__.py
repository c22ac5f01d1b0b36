"""Sources of experience: each module turns data into steps that environments and agents can take."""
