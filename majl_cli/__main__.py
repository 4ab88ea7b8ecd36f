"""``python -m majl_cli`` is ``majl``."""

from majl_cli.cli.app import main

if __name__ == "__main__":
    main()
