"""What a release hands out, used as its users do: built, installed elsewhere by checksum, run."""
