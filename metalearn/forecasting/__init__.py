"""What comes next in many series at once: quantiles at several horizons, from histories with gaps."""
