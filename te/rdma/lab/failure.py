"""What all of the lab raises."""


class LabFailure(Exception):
    """Something in the lab did not work; the message says what, and what to try."""
