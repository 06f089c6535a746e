"""Processes: started, noted, found again, asked, ended."""
