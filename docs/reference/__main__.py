"""`python -m docs.reference` (`make reference`): writes the blocks of every page anew."""

from docs.reference.blocks import PAGES, filled


def main() -> None:
    """Say which pages have changed."""
    for page in sorted(PAGES.glob("*.md")):
        before = page.read_text()
        after = filled(before)
        if after != before:
            page.write_text(after)
            print(f"{page.name}: written anew")


if __name__ == "__main__":
    main()
