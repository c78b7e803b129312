"""How a file that cannot be used is reported: which one, what is wrong, what to do."""

AGAIN = "download or copy it again"


class Damage(Exception):
    """An original file cannot be used; `problems` lists what is wrong, where, and what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)
