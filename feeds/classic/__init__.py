"""Any environment that is registered with gymnasium."""
