"""Documents of small facts: each relation in several phrasings, as statements and as questions."""

import random
from dataclasses import dataclass

from cblab.training.corpus import fact_tables as tables
from cblab.training.corpus.template import Template, capitalise, pick


@dataclass(frozen=True)
class Relation:
    """A table of facts with its phrasings; `weight` says how often it is chosen."""

    name: str
    weight: int
    slots: tuple[dict[str, str], ...]
    statements: tuple[Template, ...]
    questions: tuple[tuple[Template, Template], ...]


def _relation(
    name: str,
    weight: int,
    columns: str,
    rows: tuple[tuple[str, ...], ...],
    statements: tuple[str, ...],
    questions: tuple[tuple[str, str], ...],
) -> Relation:
    names = columns.split()
    return Relation(
        name,
        weight,
        tuple(dict(zip(names, row, strict=True)) for row in rows),
        tuple(Template(text) for text in statements),
        tuple((Template(question), Template(answer)) for question, answer in questions),
    )


def _after(sequence: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (one, the next one) around the circle."""
    return tuple((one, sequence[(i + 1) % len(sequence)]) for i, one in enumerate(sequence))


_WITH_CONTINENT = tuple((country, continent) for country, _, continent, _ in tables.COUNTRIES if continent)
_WITH_LANGUAGE = tuple((country, language) for country, _, _, language in tables.COUNTRIES if language)

RELATIONS: tuple[Relation, ...] = (
    _relation(
        "capitals",
        30,
        "country capital",
        tuple((row[0], row[1]) for row in tables.COUNTRIES),
        (
            "The capital of [country] is [capital].",
            "The capital of [country] is [capital].",
            "The capital of [country] is [capital].",
            "[Capital] is the capital of [country].",
            "The capital city of [country] is [capital].",
        ),
        (
            ("What is the capital of [country]?", "[Capital]."),
            ("What is the capital of [country]?", "[Capital]."),
            ("What is the capital of [country]?", "The capital of [country] is [capital]."),
            ("[Capital] is the capital of which country?", "[Country]."),
        ),
    ),
    _relation(
        "continents",
        8,
        "country continent",
        _WITH_CONTINENT,
        ("[Country] is in [continent].", "[Country] is a country in [continent]."),
        (("Where is [country]?", "In [continent]."), ("On which continent is [country]?", "[Continent].")),
    ),
    _relation(
        "languages",
        8,
        "country language",
        _WITH_LANGUAGE,
        ("People in [country] speak [language].", "In [country], people speak [language]."),
        (("Which language do people speak in [country]?", "[Language]."),),
    ),
    _relation(
        "sounds",
        12,
        "animal sound",
        tables.SOUNDS,
        ("The [animal] says [sound].", "The [animal] says [sound].", "[A animal] says [sound]."),
        (
            ("What does the [animal] say?", "[Sound]."),
            ("What sound does [a animal] make?", "[Sound]."),
            ("Which animal says [sound]?", "The [animal]."),
        ),
    ),
    _relation(
        "young",
        6,
        "animal young",
        tables.YOUNG,
        ("A baby [animal] is called [a young].", "The young of [a animal] is called [a young]."),
        (("What is a baby [animal] called?", "[A young]."),),
    ),
    _relation(
        "homes",
        6,
        "animal home",
        tables.HOMES,
        ("[A animal] lives [home].", "The [animal] lives [home]."),
        (("Where does [a animal] live?", "[Home]."),),
    ),
    _relation(
        "legs",
        6,
        "animal number",
        tables.LEGS,
        ("[A animal] has [number] legs.", "The [animal] has [number] legs."),
        (("How many legs does [a animal] have?", "[Number] legs."),),
    ),
    _relation(
        "diets",
        4,
        "animal food",
        tables.DIETS,
        ("[A animal] likes to eat [food].", "The [animal] likes to eat [food]."),
        (("What does [a animal] like to eat?", "[Food]."),),
    ),
    _relation(
        "kinds",
        5,
        "animal class",
        tables.KINDS,
        ("[A animal] is [a class].", "The [animal] is [a class]."),
        (("What kind of animal is [a animal]?", "[A class]."),),
    ),
    _relation(
        "colours",
        10,
        "thing verb colour",
        tables.COLOURS,
        ("[Thing] [verb] [colour].", "[Thing] [verb] [colour].", "The colour of [thing] is [colour]."),
        (("What colour [verb] [thing]?", "[Colour]."),),
    ),
    _relation(
        "mixed colours",
        2,
        "one two mix",
        tables.MIXED_COLOURS,
        ("[One] and [two] make [mix].", "If you mix [one] and [two], you get [mix]."),
        (("What do you get if you mix [one] and [two]?", "[Mix]."),),
    ),
    _relation(
        "days",
        8,
        "day next",
        _after(tables.DAYS),
        (
            "The day after [day] is [next].",
            "After [day] comes [next].",
            "The day before [next] is [day].",
            "If today is [day], tomorrow is [next].",
        ),
        (("What day comes after [day]?", "[Next]."), ("What day comes before [next]?", "[Day].")),
    ),
    _relation(
        "months",
        8,
        "month next",
        _after(tables.MONTHS),
        (
            "The month after [month] is [next].",
            "After [month] comes [next].",
            "The month before [next] is [month].",
        ),
        (("What month comes after [month]?", "[Next]."), ("What month comes before [next]?", "[Month].")),
    ),
    _relation(
        "seasons",
        2,
        "season next",
        _after(tables.SEASONS),
        ("After [season] comes [next].", "The season after [season] is [next]."),
        (("Which season comes after [season]?", "[Next]."),),
    ),
    _relation(
        "season facts",
        3,
        "season fact",
        tables.SEASON_FACTS,
        ("In [season], [fact].", "[Fact] in [season]."),
        (("In which season do [fact]?", "In [season]."),),
    ),
    _relation(
        "opposites",
        10,
        "one two",
        tables.OPPOSITES + tuple((two, one) for one, two in tables.OPPOSITES),
        (
            "The opposite of [one] is [two].",
            "The opposite of [one] is [two].",
            "[One] is the opposite of [two].",
        ),
        (("What is the opposite of [one]?", "[Two]."),),
    ),
    _relation(
        "counts",
        6,
        "what number whole",
        tables.COUNTS,
        ("There are [number] [what] in [whole].", "[Whole] has [number] [what]."),
        (
            ("How many [what] are in [whole]?", "[Number]."),
            ("How many [what] are there in [whole]?", "There are [number]."),
        ),
    ),
    _relation(
        "body",
        2,
        "part number",
        tables.BODY_COUNTS,
        ("We have [number] [part].", "A person has [number] [part]."),
        (("How many [part] does a person have?", "[Number]."),),
    ),
    _relation(
        "shapes",
        4,
        "shape number",
        tables.SHAPES,
        ("[A shape] has [number] sides.", "There are [number] sides in [a shape]."),
        (("How many sides does [a shape] have?", "[Number] sides."),),
    ),
    _relation(
        "forms",
        2,
        "thing form",
        tables.FORMS,
        ("[Thing] has the shape of [form].", "The shape of [thing] is [form]."),
        (("What is the shape of [thing]?", "[Form]."),),
    ),
    _relation(
        "senses",
        2,
        "verb part",
        tables.SENSES,
        ("We [verb] with our [part].", "With our [part] we can [verb]."),
        (("What do we [verb] with?", "With our [part]."),),
    ),
    _relation(
        "jobs",
        3,
        "person work",
        tables.JOBS,
        ("[Person] [work].",),
        (("What does [person] do?", "[Person] [work]."), ("Who [work]?", "[Person].")),
    ),
    _relation(
        "tools",
        3,
        "work tool",
        tables.TOOLS,
        ("We use [tool] to [work].", "To [work], we use [tool]."),
        (("What do we use to [work]?", "[Tool]."),),
    ),
    _relation(
        "qualities",
        3,
        "thing quality",
        tables.QUALITIES,
        ("[Thing] is [quality].",),
        (("What is [thing] like?", "It is [quality]."),),
    ),
)
_BY_NAME = {relation.name: relation for relation in RELATIONS}
_LOTTERY = tuple(relation for relation in RELATIONS for _ in range(relation.weight))


def _statement(rng: random.Random, relation: Relation) -> str:
    return pick(rng, relation.statements).render(rng, pick(rng, relation.slots))


def _question(rng: random.Random, relation: Relation) -> tuple[str, str]:
    slots = pick(rng, relation.slots)
    question, answer = pick(rng, relation.questions)
    return question.render(rng, slots), answer.render(rng, slots)


def _mixed_statements(rng: random.Random) -> str:
    return " ".join(_statement(rng, pick(rng, _LOTTERY)) for _ in range(6 + int(rng.random() * 8)))


def _statement_list(rng: random.Random) -> str:
    """One relation, one fact a line."""
    relation = pick(rng, _LOTTERY)
    form = pick(rng, relation.statements)
    count = min(len(relation.slots), 5 + int(rng.random() * 8))
    return "\n".join(form.render(rng, slots) for slots in rng.sample(relation.slots, count))


def _questions(rng: random.Random) -> str:
    pairs = [_question(rng, pick(rng, _LOTTERY)) for _ in range(4 + int(rng.random() * 5))]
    return "\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in pairs)


def _plain_questions(rng: random.Random) -> str:
    """Questions without the labels, each followed by its answer on the same line."""
    pairs = [_question(rng, pick(rng, _LOTTERY)) for _ in range(5 + int(rng.random() * 5))]
    return "\n".join(f"{question} {answer}" for question, answer in pairs)


def _general_statements(rng: random.Random) -> str:
    return " ".join(rng.sample(tables.STATEMENTS, 6 + int(rng.random() * 5)))


_COUNTRY_TEXT = (
    Template("[Country] is a country in [continent]. The capital of [country] is [capital]."),
    Template("The capital of [country] is [capital]. [Country] is in [continent]."),
)


def _countries(rng: random.Random) -> str:
    rows = [row for row in tables.COUNTRIES if row[2]]
    texts = []
    for country, capital, continent, language in rng.sample(rows, 3 + int(rng.random() * 3)):
        text = pick(rng, _COUNTRY_TEXT).render(
            rng, {"country": country, "capital": capital, "continent": continent}
        )
        texts.append(f"{text} People in {country} speak {language}." if language else text)
    return "\n".join(texts)


_ANIMAL_TABLES = ("kinds", "legs", "homes", "diets", "young", "sounds")


def _animals(rng: random.Random) -> str:
    """A few animals, each with all that the tables know about it."""
    names = [animal for animal, _ in tables.LEGS]
    texts = []
    for animal in rng.sample(names, 3 + int(rng.random() * 3)):
        known = []
        for name in _ANIMAL_TABLES:
            relation = _BY_NAME[name]
            rows = [slots for slots in relation.slots if slots["animal"] == animal]
            if rows:
                known.append(relation.statements[0].render(rng, rows[0]))
        texts.append(" ".join(known))
    return "\n".join(texts)


def _calendar(rng: random.Random) -> str:
    """The days, the months and the seasons in order."""
    texts = [
        f"The days of the week are {_enumerate(tables.DAYS)}.",
        f"The months of the year are {_enumerate(tables.MONTHS)}.",
        f"The four seasons are {_enumerate(tables.SEASONS)}.",
        "There are seven days in a week. There are twelve months in a year.",
    ]
    rng.shuffle(texts)
    steps = [_statement(rng, _BY_NAME[pick(rng, ("days", "months", "seasons"))]) for _ in range(3)]
    return " ".join(texts[: 2 + int(rng.random() * 3)] + steps)


def _enumerate(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


_FORMS = (
    (_mixed_statements, 30),
    (_questions, 22),
    (_plain_questions, 8),
    (_statement_list, 18),
    (_countries, 10),
    (_animals, 8),
    (_calendar, 4),
    (_general_statements, 4),
)
_FORM_LOTTERY = tuple(form for form, weight in _FORMS for _ in range(weight))


def write_facts(rng: random.Random) -> str:
    """Return one document of facts."""
    return capitalise(pick(rng, _FORM_LOTTERY)(rng))
