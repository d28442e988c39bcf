"""Documents of counting and small sums, in digits, in words and as little problems."""

import random

from cblab.training.corpus import words
from cblab.training.corpus.template import Template, capitalise, pick

_SMALL = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

THINGS = (
    "apples",
    "nuts",
    "marbles",
    "shells",
    "cookies",
    "pears",
    "stones",
    "books",
    "eggs",
    "flowers",
    "buttons",
    "berries",
    "carrots",
    "leaves",
    "balls",
    "cards",
)
_GAIN = Template(
    "{[name] has [a] [things]. [He] {gets|finds} [b] more. {Now|Then} [he] has [c] [things].|[name] has [a] "
    "[things]. [other] gives [him] [b] more. Now [name] has [c] [things].|There are [a] [things] in the "
    "basket. [name] puts [b] more into it. Now there are [c] [things] in the basket.|[name] has [a] "
    "[things], and [other] has [b] [things]. Together they have [c] [things].}"
)
_LOSS = Template(
    "{[name] has [a] [things]. [He] {loses|gives away} [b]. {Now|Then} [he] has [c] [left].|[name] has [a] "
    "[things]. [He] gives [b] to [other]. Now [name] has [c] [left].|There are [a] [things] on the table. "
    "[name] takes [b] away. Now there [are] {|only }[c] on the table.}"
)
_TIMES = Template(
    "{[name] has [a] boxes. In each box there are [b] [things]. That makes [c] [things].|There are [a] "
    "baskets with [b] [things] each. Together there are [c] [things].|[a] children have [b] [things] each. "
    "Together they have [c] [things].}"
)


def number_word(number: int) -> str:
    """Return a number from 0 to 100 in words; raise ValueError outside of that."""
    if not 0 <= number <= 100:
        raise ValueError(f"number_word knows 0 to 100, not {number}")
    if number < 20:
        return _SMALL[number]
    if number == 100:
        return "one hundred"
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_SMALL[ones]}" if ones else _TENS[tens]


def _below(rng: random.Random, low: int, high: int) -> int:
    """Return an integer from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def _operands(rng: random.Random) -> tuple[int, str, int, int]:
    """Return (a, sign, b, result) of a sum to 40, a difference that is not negative, or a product to 100."""
    sign = pick(rng, ("+", "+", "-", "-", "x"))
    if sign == "x":
        a, b = _below(rng, 1, 10), _below(rng, 1, 10)
        return a, sign, b, a * b
    limit = pick(rng, (10, 10, 20))
    a, b = _below(rng, 0, limit), _below(rng, 0, limit)
    if sign == "-":
        a, b = max(a, b), min(a, b)
        return a, sign, b, a - b
    return a, sign, b, a + b


def _in_digits(a: int, sign: str, b: int, result: int) -> str:
    return f"{a} {sign} {b} = {result}."


_SIGN_WORDS = {"+": "plus", "-": "minus", "x": "times"}


def _in_words(a: int, sign: str, b: int, result: int) -> str:
    return f"{capitalise(number_word(a))} {_SIGN_WORDS[sign]} {number_word(b)} is {number_word(result)}."


def _sum_list(rng: random.Random) -> str:
    separator = pick(rng, ("\n", " "))
    return separator.join(_in_digits(*_operands(rng)) for _ in range(_below(rng, 6, 14)))


def _word_sums(rng: random.Random) -> str:
    return " ".join(_in_words(*_operands(rng)) for _ in range(_below(rng, 5, 10)))


def _sum_questions(rng: random.Random) -> str:
    form = pick(
        rng, ("Question: What is {}?\nAnswer: {}.", "Question: What is {}?\nAnswer: {}.", "What is {}? {}.")
    )
    texts = []
    for _ in range(_below(rng, 4, 7)):
        a, sign, b, result = _operands(rng)
        spelled = rng.random() >= 0.7
        question = f"{number_word(a)} {_SIGN_WORDS[sign]} {number_word(b)}" if spelled else f"{a} {sign} {b}"
        answer = str(result) if question[0].isdigit() else capitalise(number_word(result))
        texts.append(form.format(question, answer))
    return "\n".join(texts)


def _table(rng: random.Random) -> str:
    """A whole row of the addition, subtraction or times table."""
    fixed = _below(rng, 1, 10)
    kind = pick(rng, ("+", "x", "-"))
    if kind == "+":
        return "\n".join(_in_digits(fixed, "+", i, fixed + i) for i in range(1, 11))
    if kind == "x":
        return "\n".join(_in_digits(i, "x", fixed, i * fixed) for i in range(1, 11))
    return "\n".join(_in_digits(fixed + i, "-", fixed, i) for i in range(0, 11))


def _steps(rng: random.Random) -> list[int]:
    step = pick(rng, (1, 1, 1, 2, 5, 10))
    start = {1: _below(rng, 0, 40), 2: pick(rng, (1, 2, 2, 10, 20)), 5: 5, 10: 10}[step]
    if step == 1 and rng.random() < 0.4:
        start = 1
    count = _below(rng, 8, 20) if step < 5 else _below(rng, 6, 10)
    numbers = [start + i * step for i in range(count)]
    return numbers[::-1] if rng.random() < 0.25 else numbers


def _counting(rng: random.Random) -> str:
    texts = []
    for _ in range(_below(rng, 1, 2)):
        numbers = _steps(rng)
        spelled = rng.random() < 0.45
        items = [number_word(number) if spelled else str(number) for number in numbers]
        lead = _counting_lead(numbers, pick(rng, ("", "", "lead")))
        text = f"{', '.join(items)}."
        texts.append(f"{lead}{text}" if lead else capitalise(text))
    return "\n".join(texts)


def _counting_lead(numbers: list[int], style: str) -> str:
    if not style:
        return ""
    step = abs(numbers[1] - numbers[0])
    way = "Count down" if numbers[1] < numbers[0] else "Count"
    by = {1: "", 2: " by twos", 5: " by fives", 10: " by tens"}[step]
    return f"{way}{by} from {numbers[0]} to {numbers[-1]}: "


def _neighbours(rng: random.Random) -> str:
    texts = []
    for _ in range(_below(rng, 6, 10)):
        number = _below(rng, 1, 30)
        other = _below(rng, 0, 30)
        if other == number:
            other = number + 1
        word = "more" if number > other else "less"
        texts.append(
            pick(
                rng,
                (
                    f"After {number} comes {number + 1}.",
                    f"Before {number} comes {number - 1}.",
                    f"{number} is {word} than {other}.",
                    f"{number} is {'even' if number % 2 == 0 else 'odd'}.",
                ),
            )
        )
    return " ".join(texts)


def _problem(rng: random.Random) -> str:
    is_girl = rng.random() < 0.5
    name = pick(rng, words.GIRL_NAMES if is_girl else words.BOY_NAMES)
    other = pick(rng, words.BOY_NAMES if is_girl else words.GIRL_NAMES)
    form = pick(rng, (_GAIN, _GAIN, _LOSS, _LOSS, _TIMES))
    a, b = _below(rng, 2, 10), _below(rng, 2, 10)
    if form is _GAIN:
        c = a + b
    elif form is _TIMES:
        c = a * b
    else:
        b = _below(rng, 1, 9)
        c = _below(rng, 1, 10)
        a = b + c
    slots = {
        "name": name,
        "other": other,
        "he": "she" if is_girl else "he",
        "him": "her" if is_girl else "him",
        "things": pick(rng, THINGS),
        "a": str(a),
        "b": str(b),
        "c": str(c),
        "left": "left",
        "are": "is" if c == 1 else "are",
    }
    return form.render(rng, slots)


def _problems(rng: random.Random) -> str:
    return "\n".join(_problem(rng) for _ in range(_below(rng, 3, 5)))


_FORMS = (
    (_sum_list, 24),
    (_word_sums, 14),
    (_sum_questions, 16),
    (_table, 10),
    (_counting, 14),
    (_neighbours, 6),
    (_problems, 20),
)
_FORM_LOTTERY = tuple(form for form, weight in _FORMS for _ in range(weight))


def write_arithmetic(rng: random.Random) -> str:
    """Return one document of counting or small sums."""
    return pick(rng, _FORM_LOTTERY)(rng)
