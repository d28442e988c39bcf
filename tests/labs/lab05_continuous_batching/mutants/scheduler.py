"""Wrong answers to 5.7: the scheduler."""

from tests.labs.edit import Mutant, edited

_NEEDED = "sum(map(self.new_blocks, self.running, self.shares()))"
_WHILE = f"while {_NEEDED} > self.free_blocks:"
_BACK = "self.free_blocks += self.counts[victim].num_blocks\n"
_ZERO = "self.counts[victim].num_computed = self.counts[victim].num_blocks = 0"
_WAIT = "self.waiting.insert(0, victim)\n"
_GIVE = "scheduled += [self.give(*pair) for pair in zip(admitted, firsts, strict=True)]"
_JOIN = "self.running += admitted\n"


def _one(old: str, new: str) -> tuple[str, ...]:
    return edited("5.7", (old, new))


SCHEDULER: list[Mutant] = [
    ("admits after preempting", _one("if not preempted:", "if True:"), "Somebody is admitted in a step"),
    ("only when empty", _one("if not preempted:", "if not self.running:"), "that is static batching"),
    ("never", _one("if not preempted:", "if False:"), "Nobody is ever admitted"),
    ("the first gives way", _one("self.running.pop()", "self.running.pop(0)"), "The first of the running"),
    ("only one", _one(_WHILE, f"if {_NEEDED} > self.free_blocks:"), "Only one request gives way"),
    ("nobody", _one(_WHILE, "while False:"), "Nobody gives way"),
    (
        "keeps a block",
        _one(_WHILE, f"while self.running and {_NEEDED} >= self.free_blocks:"),
        "although the blocks just suffice",
    ),
    (
        "one block each",
        _one(_WHILE, "while len(self.running) > self.free_blocks:"),
        "is taken to need a new block",
    ),
    ("still computed", _one(_ZERO, "self.counts[victim].num_blocks = 0"), "`num_computed` stays"),
    ("still holds", _one(_ZERO, "self.counts[victim].num_computed = 0"), "`num_blocks` stays"),
    ("to the end", _one(_WAIT, "self.waiting.append(victim)\n"), "goes to the end of the queue"),
    ("forgotten", _one(_WAIT, "pass\n"), "is in no queue"),
    (
        "the whole budget",
        _one("budget = self.budget - sum(num_new for _, num_new in scheduled)", "budget = self.budget"),
        "Newcomers get the whole budget",
    ),
    (
        "budget of requests",
        _one("sum(num_new for _, num_new in scheduled)", "len(scheduled)"),
        "it is one of tokens",
    ),
    ("all seats", _one("self.max_num_seqs - len(self.running)", "self.max_num_seqs"), "all seats"),
    (
        "newcomers' blocks",
        _one(_GIVE, "scheduled += list(zip(admitted, firsts, strict=True))"),
        "Newcomers' blocks are not counted",
    ),
    ("still waiting", _one("self.waiting = self.waiting[len(firsts) :]\n", "\n"), "still waits"),
    ("not running", _one(_JOIN, "pass\n"), "is not among the running ones"),
    ("in front", _one(_JOIN, "self.running = admitted + self.running\n"), "put in front of those"),
    (
        "newcomers first",
        _one(_GIVE, "scheduled = [self.give(*pair) for pair in zip(admitted, firsts)] + scheduled"),
        "Newcomers stand first",
    ),
    (
        "newcomers' tokens",
        _one(_GIVE, "[self.give(*pair) for pair in zip(admitted, firsts)]"),
        "Newcomers' tokens are missing",
    ),
    ("preempted untold", _one("preempted.append(victim)", "pass"), "does not tell who was preempted"),
    (
        "admitted untold",
        edited("5.7", (_GIVE, f"{_GIVE}\n    admitted = []")),
        "does not tell who was admitted",
    ),
    (
        "blocks not freed",
        _one(_BACK, "pass\n"),
        "are not counted as free",
    ),
]
