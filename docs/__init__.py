"""The site: pages (`pages/`), and the program that writes the tables of the reference from the code (`reference/`)."""
