"""What pages share behind the scenes: places, open models, the session, results that are kept."""
