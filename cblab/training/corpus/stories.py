"""Small stories: a cast is drawn, an opening is told, then one of the plots."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cblab.training.corpus import plots_brave, plots_friends, plots_lessons, plots_lost, plots_wonder, words
from cblab.training.corpus.plot import Plot
from cblab.training.corpus.template import Template, pick

PLOTS: tuple[Plot, ...] = (
    plots_lost.PLOTS + plots_friends.PLOTS + plots_brave.PLOTS + plots_lessons.PLOTS + plots_wonder.PLOTS
)

# A hero's name and a plot together decide on which side of the split a story is: one pair in this many is
# never told in training, so no held-out story can be a training story.
HELD_OUT_ONE_IN = 20

# The first opening is by far the most frequent, so that "Once upon a time" has one clear way to go on.
_USUAL_OPENING = Template(
    "Once upon a time, there was [a hero_kind] named [hero]. [Hero] lived [home]{| with [his] [parent]}."
)
_OTHER_OPENINGS = tuple(
    Template(text)
    for text in (
        "Once upon a time, [home], there lived [a hero_kind] named [hero].",
        "Once upon a time, [a hero_kind] named [hero] lived [home].",
        "There once was [a hero_kind] named [hero]. [He] lived [home]{| with [his] [parent]}.",
        "Long ago, [a hero_kind] named [hero] lived [home].",
        "[Hero] was [a hero_kind]. [He] lived [home]{| with [his] [parent]}.",
        "[Home], there lived [a hero_kind] named [hero].",
        "This is the story of [hero], [a hero_kind] who lived [home].",
    )
)
_TRAITS = Template(
    "{[He] was [trait] and [trait2], and [he] loved [hobby].|[Hero] was [trait] and [trait2].|[Hero] loved "
    "[hobby].|[He] was [trait], and most of all [he] loved [hobby].|Everyone liked [hero], because [he] was "
    "[trait] and [trait2].}"
)
_OLD_NAMES = (
    ("Olga", "she"),
    ("Edgar", "he"),
    ("Martha", "she"),
    ("Walter", "he"),
    ("Agatha", "she"),
    ("Albert", "he"),
    ("Greta", "she"),
    ("Bertram", "he"),
    ("Edna", "she"),
    ("Rufus", "he"),
    ("Matilda", "she"),
    ("Conrad", "he"),
)
_PRONOUNS = {"he": ("he", "him", "his", "himself"), "she": ("she", "her", "her", "herself")}


@dataclass(frozen=True)
class _Character:
    name: str
    name_index: int
    kind: str
    pronoun: str
    is_child: bool


@dataclass(frozen=True)
class _CompiledPlot:
    plot: Plot
    paragraphs: tuple[tuple[tuple[bool, Template], ...], ...]
    picks: tuple[tuple[str, tuple[Template, ...]], ...]
    rows: tuple[tuple[tuple[str, ...], tuple[tuple[Template, ...], ...]], ...]
    needs_animal_friend: bool


def _compile(plot: Plot) -> _CompiledPlot:
    picks = tuple((name, tuple(Template(value) for value in values)) for name, values in plot.picks.items())
    rows = tuple(
        (tuple(names.split()), tuple(tuple(Template(value) for value in row) for row in table))
        for names, table in plot.rows.items()
    )
    needs_animal = any("the [fkind]" in line for paragraph in plot.paragraphs for line in paragraph)
    return _CompiledPlot(plot, plot.compiled(), picks, rows, needs_animal)


_COMPILED = tuple(_compile(plot) for plot in PLOTS)


def _child(rng: random.Random) -> _Character:
    pronoun = pick(rng, ("she", "he"))
    names = words.GIRL_NAMES if pronoun == "she" else words.BOY_NAMES
    index = int(rng.random() * len(names))
    return _Character(names[index], index, "girl" if pronoun == "she" else "boy", pronoun, True)


def _animal(rng: random.Random, kinds: Sequence[str]) -> _Character:
    pronoun = pick(rng, ("she", "he"))
    names = words.SHE_ANIMAL_NAMES if pronoun == "she" else words.HE_ANIMAL_NAMES
    index = int(rng.random() * len(names))
    return _Character(names[index], index, pick(rng, kinds), pronoun, False)


_KINDS = tuple(kind for kind, _ in words.ANIMAL_HOMES)
_HOMES = dict(words.ANIMAL_HOMES)


def _friend(rng: random.Random, hero: _Character, needs_animal: bool) -> _Character:
    while True:
        as_child = hero.is_child and not needs_animal and rng.random() < 0.6
        friend = _child(rng) if as_child else _animal(rng, _KINDS)
        if friend.name != hero.name and (as_child or friend.kind != hero.kind):
            return friend


def _hero_slots(rng: random.Random, hero: _Character) -> dict[str, str]:
    sizes = words.CHILD_SIZES if hero.is_child else words.ANIMAL_SIZES
    size = pick(rng, sizes)
    if size == "brown" and hero.kind not in words.BROWN_ANIMALS:
        size = "little"
    home = pick(rng, words.CHILD_HOMES if hero.is_child else _HOMES[hero.kind])
    trait = pick(rng, [one for one in words.TRAITS if one != size])
    trait2 = pick(rng, [one for one in words.TRAITS if one not in (size, trait)])
    he, him, his, himself = _PRONOUNS[hero.pronoun]
    return {
        "hero": hero.name,
        "hero_kind": f"{size} {hero.kind}",
        "kind": hero.kind,
        "home": home,
        "he": he,
        "him": him,
        "his": his,
        "himself": himself,
        "trait": trait,
        "trait2": trait2,
        "hobby": pick(rng, words.HOBBIES),
    }


def _wise_slots(rng: random.Random, taken: Sequence[str]) -> dict[str, str]:
    if rng.random() < 0.5:
        name, pronoun = pick(rng, words.WISE_PEOPLE)
        intro = name
    else:
        kind = pick(rng, [kind for kind in words.WISE_ANIMALS if kind not in taken])
        name, pronoun = pick(rng, _OLD_NAMES)
        intro = f"an old {kind} named {name}"
    he, him, his, _ = _PRONOUNS[pronoun]
    return {"wise": intro, "wname": name, "whe": he, "whim": him, "whis": his}


def _cast(rng: random.Random, hero: _Character, needs_animal_friend: bool) -> dict[str, str]:
    friend = _friend(rng, hero, needs_animal_friend)
    slots = _hero_slots(rng, hero)
    he, him, his, _ = _PRONOUNS[friend.pronoun]
    slots |= {"friend": friend.name, "fkind": friend.kind, "fhe": he, "fhim": him, "fhis": his}
    slots |= _wise_slots(rng, (hero.kind, friend.kind))
    parent = pick(rng, words.PARENTS)
    he, him, his, _ = _PRONOUNS["she" if parent in words.FEMALE_PARENTS else "he"]
    slots |= {"parent": parent, "he_p": he, "him_p": him, "his_p": his}
    slots["treasure"] = f"{pick(rng, words.COLOURS)} {pick(rng, words.TREASURES)}"
    slots["day"] = pick(rng, words.DAY_PARTS)
    slots["place"] = pick(rng, words.PLACES)
    return slots


def _opening(rng: random.Random, slots: dict[str, str]) -> str:
    usual = rng.random() < 0.65
    text = (_USUAL_OPENING if usual else pick(rng, _OTHER_OPENINGS)).render(rng, slots)
    return f"{text} {_TRAITS.render(rng, slots)}" if rng.random() < 0.6 else text


def _fill_plot_slots(rng: random.Random, compiled: _CompiledPlot, slots: dict[str, str]) -> None:
    for name, templates in compiled.picks:
        slots[name] = pick(rng, templates).render(rng, slots)
    for names, table in compiled.rows:
        for name, template in zip(names, pick(rng, table), strict=True):
            slots[name] = template.render(rng, slots)


def _is_held_out(hero: _Character, plot_index: int) -> bool:
    return (hero.name_index + plot_index) % HELD_OUT_ONE_IN == 0


def write_story(rng: random.Random, held_out: bool = False) -> str:
    """Return one story of three paragraphs, separated by a line break.

    With `held_out`, the hero and the plot are a pair that no training story has; without it, they never are.
    """
    while True:
        plot_index = int(rng.random() * len(_COMPILED))
        hero = _child(rng) if rng.random() < 0.4 else _animal(rng, _KINDS)
        compiled = _COMPILED[plot_index]
        if hero.kind not in compiled.plot.not_for and _is_held_out(hero, plot_index) == held_out:
            break
    slots = _cast(rng, hero, compiled.needs_animal_friend)
    _fill_plot_slots(rng, compiled, slots)
    told = [
        " ".join(
            line.render(rng, slots) for optional, line in paragraph if not optional or rng.random() < 0.6
        )
        for paragraph in compiled.paragraphs
    ]
    return "\n".join([f"{_opening(rng, slots)} {told[0]}", *told[1:]])
