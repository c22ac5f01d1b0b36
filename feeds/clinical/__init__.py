"""Patient tables as recorded episodes: checked at the border, no look-ahead, fitted on training patients alone."""
