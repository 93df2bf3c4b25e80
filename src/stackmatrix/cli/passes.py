"""Options for what is looked at after the rounds."""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be looked at after the rounds."""
    parser.add_argument(
        "--explain",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="after the rounds, see where requests spend their time, in one more trial of each arm "
        "(default: for as many arms as the rounds and a fifth of the budget leave time for)",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="after the rounds, draw a flame graph of each arm with py-spy; its time is not in the budget",
    )
