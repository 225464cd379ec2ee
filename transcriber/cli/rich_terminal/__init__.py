"""What rich draws: live captions, coloured tables, progress bars. Only where `terminal_text.draws` allows it.

The extra `terminal` brings rich. Nothing outside this folder imports it, and nothing imports this folder before asking.
"""
