"""Agents, one file each; the table that joins them to their loops is `angle_domains.tables.AGENTS`."""
