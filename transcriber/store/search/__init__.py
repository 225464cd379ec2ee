"""Full-text search in transcripts: what a query asks for, the index in Redis, the calls that match.

`CallSearch` is what the history uses; `SearchIndex` is written by the event log and repaired by `IndexRepair`.
"""
