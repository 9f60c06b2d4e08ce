"""`python -m gifcli` is `gif`."""

from gifcli.cli import main

if __name__ == "__main__":
    main()
