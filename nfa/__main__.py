"""`python -m nfa` is the command `nfa`."""

from nfa.cli import main

if __name__ == "__main__":
    main()
