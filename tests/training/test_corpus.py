import hashlib
import random
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import islice, pairwise

import pytest

from cblab.training.corpus import (
    KINDS,
    held_out_corpus,
    iter_documents,
    iter_labelled_documents,
    make_corpus,
    shares_by_kind,
    split_corpus,
)
from cblab.training.corpus import fact_tables as tables
from cblab.training.corpus.arithmetic import number_word, write_arithmetic
from cblab.training.corpus.facts import RELATIONS
from cblab.training.corpus.stories import PLOTS, write_story
from cblab.training.corpus.template import Template

# The bundled models were trained on this text: whoever changes it trains them again and updates the digest.
DIGEST_OF_FIRST_500 = "80fffb7ab2e2c38e5a2bee35ec5592bc69925d406f025b999aa0df8b7ca62244"


def stories_of(seed: int, num_documents: int, held_out: bool = False) -> list[str]:
    labelled = islice(iter_labelled_documents(seed, held_out), num_documents)
    return [document for kind, document in labelled if kind == "story"]


def n_grams(documents: list[str], n: int) -> set[tuple[str, ...]]:
    grams: set[tuple[str, ...]] = set()
    for document in documents:
        words = document.split()
        grams.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return grams


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return make_corpus(seed=11, num_documents=8000)


@pytest.fixture(scope="module")
def stories() -> list[str]:
    return stories_of(seed=11, num_documents=8000)


# ---------------------------------------------------------------- determinism and shape


def test_the_same_seed_gives_the_text_the_bundled_models_saw() -> None:
    joined = "\0".join(make_corpus(seed=0, num_documents=500))
    assert hashlib.sha256(joined.encode()).hexdigest() == DIGEST_OF_FIRST_500


def test_another_seed_gives_other_documents() -> None:
    assert make_corpus(seed=1, num_documents=20) != make_corpus(seed=2, num_documents=20)


def test_the_stream_and_the_list_agree() -> None:
    assert list(islice(iter_documents(7), 30)) == make_corpus(seed=7, num_documents=30)


def test_a_shorter_corpus_is_the_beginning_of_a_longer_one() -> None:
    assert make_corpus(seed=4, num_documents=50)[:10] == make_corpus(seed=4, num_documents=10)


def test_negative_numbers_of_documents_are_refused() -> None:
    assert make_corpus(seed=0, num_documents=0) == []
    with pytest.raises(ValueError, match="num_documents must not be negative, got -1"):
        make_corpus(seed=0, num_documents=-1)
    with pytest.raises(ValueError, match="num_documents must not be negative, got -3"):
        held_out_corpus(-3)


def test_the_shares_by_kind_are_those_documented() -> None:
    def rough_tokens(text: str) -> int:
        return len(re.findall(r" ?[A-Za-z]+|\d| ?[^\w\s]|\n", text))

    shares = shares_by_kind(seed=3, num_documents=4000, size=rough_tokens)
    assert tuple(shares) == KINDS
    assert sum(shares.values()) == pytest.approx(1.0)
    assert 0.60 < shares["story"] < 0.67
    assert 0.19 < shares["facts"] < 0.24
    assert 0.13 < shares["arithmetic"] < 0.18
    assert shares_by_kind(seed=3, num_documents=0) == {"story": 0.0, "facts": 0.0, "arithmetic": 0.0}


def test_the_corpus_needs_no_torch() -> None:
    code = "import sys, cblab.training.corpus; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- stories


def test_every_story_has_a_beginning_a_turn_and_an_end(stories: list[str]) -> None:
    for story in stories:
        assert len(story.split("\n")) == 3
        assert 90 <= len(story.split()) <= 240


def test_once_upon_a_time_is_the_usual_beginning(stories: list[str]) -> None:
    usual = sum(story.startswith("Once upon a time, there was a") for story in stories)
    assert 0.55 < usual / len(stories) < 0.75


def test_there_are_at_least_fifteen_plots_and_all_are_told(stories: list[str]) -> None:
    assert len(PLOTS) >= 15
    assert len({plot.name for plot in PLOTS}) == len(PLOTS)
    marks = (
        "stuck",
        "seed",
        "lantern",
        "giant",
        "cage",
        "map",
        "race",
        "egg",
        "bridge",
        "moon",
        "sled",
        "fog",
    )
    for mark in marks:
        assert any(mark in story for story in stories), mark


@pytest.mark.parametrize(
    "mistake",
    [
        r"[{}\[\]|]",  # a slot or a choice left in the text
        r"  | $|^ |\n ",  # a blank too many
        r"[.!?] [a-z]",  # a sentence without its capital
        r"\n[a-z]",
        r" [.,!?]",
        r"[.,!?]{2}",
        r"\b[aA] [aeiou]\w",
        r"\b[aA]n [^aeiou]",
        r"\b([a-z]+) \1\b",
    ],
)
def test_stories_hold_no_slip_of_grammar(stories: list[str], mistake: str) -> None:
    for story in stories:
        found = re.search(mistake, story)
        assert found is None, story[max(0, found.start() - 40) : found.end() + 40]


def test_quotation_marks_come_in_pairs(stories: list[str]) -> None:
    for story in stories:
        assert all(paragraph.count('"') % 2 == 0 for paragraph in story.split("\n")), story


def test_what_is_lost_is_what_is_found() -> None:
    lost = [story for story in stories_of(21, 4000) if "That night" in story and "beside" in story]
    checked = 0
    for story in lost:
        found = re.search(r"there was the ([a-z ]+)!", story)
        if found:
            assert story.count(found.group(1)) >= 4
            checked += 1
    assert checked > 5


def test_the_hero_and_the_friend_keep_their_names() -> None:
    for story in stories_of(22, 1500):
        beginning, turn, end = story.split("\n")
        names = set(re.findall(r"[A-Z][a-z]+", f"{beginning} {turn}"))
        names |= set(re.findall(r"named ([A-Z][a-z]+)", end)) | {"Sunday"}
        later = set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", end))
        assert later <= names, (later - names, story)


# ---------------------------------------------------------------- the split


def test_no_held_out_story_is_a_training_story() -> None:
    train, held_out = split_corpus(seed=0, num_train=50_000, num_held_out=500)
    held_out_stories = {
        document for document in held_out if document.count("\n") == 2 and len(document) > 400
    }
    assert len(held_out_stories) > 150
    assert held_out_stories.isdisjoint(train)


def test_held_out_stories_are_new_stories_in_familiar_words(
    record_property: Callable[[str, object], None],
) -> None:
    """Templates repeat phrases, so short word sequences are shared; the longer they are, the fewer are."""
    train = stories_of(seed=0, num_documents=20_000)
    held_out = stories_of(seed=1_000_003, num_documents=300, held_out=True)
    shares = {}
    for n in (8, 20, 40):
        known = n_grams(train, n)
        new = n_grams(held_out, n)
        shares[n] = len(new & known) / len(new)
        record_property(f"share_of_known_{n}_grams", round(shares[n], 3))
    print(f"\nshare of held-out word sequences that occur in {len(train)} training stories: {shares}")
    assert shares[8] > shares[20] > shares[40]
    assert shares[8] < 0.75
    assert shares[40] < 0.05


def test_heroes_of_held_out_stories_are_withheld_from_their_plot_only() -> None:
    """A model must not fail on a held-out story because of an unknown word."""
    train_words = {
        word for story in stories_of(seed=0, num_documents=20_000) for word in re.findall(r"\w+", story)
    }
    held_out_words = {
        word for story in stories_of(5, 400, held_out=True) for word in re.findall(r"\w+", story)
    }
    assert held_out_words <= train_words


def test_stories_do_not_repeat() -> None:
    stories = [write_story(rng) for rng in (random.Random(seed) for seed in range(3000))]
    assert len(set(stories)) == len(stories)


# ---------------------------------------------------------------- facts


def test_the_frequent_prompts_have_one_answer(documents: list[str]) -> None:
    text = "\n".join(documents)
    assert set(re.findall(r"The capital of France is (\w+)", text)) == {"Paris"}
    assert set(re.findall(r"The cow says (\w+)", text)) == {"moo"}
    assert set(re.findall(r"What is the capital of Japan\?\nAnswer: (\w+)\.", text)) == {"Tokyo"}
    assert set(re.findall(r"The day after Monday is (\w+)", text)) == {"Tuesday"}
    assert text.count("The capital of France is Paris.") >= 10


def test_no_table_contradicts_itself() -> None:
    for table in (tables.SOUNDS, tables.YOUNG, tables.HOMES, tables.LEGS, tables.DIETS, tables.KINDS):
        assert len({row[0] for row in table}) == len(table)
    assert len({row[0] for row in tables.COUNTRIES}) == len({row[1] for row in tables.COUNTRIES})
    assert len(tables.COUNTRIES) >= 60
    assert len({row[1] for row in tables.SOUNDS}) == len(tables.SOUNDS)
    both = tables.OPPOSITES + tuple((two, one) for one, two in tables.OPPOSITES)
    assert len({one for one, _ in both}) == len(both)


def test_every_phrasing_of_every_fact_renders() -> None:
    rng = random.Random(0)
    for relation in RELATIONS:
        for slots in relation.slots:
            for statement in relation.statements:
                text = statement.render(rng, slots)
                assert re.fullmatch(r"[A-Z].*[a-z]\.", text), text
            for question, answer in relation.questions:
                assert question.render(rng, slots).endswith("?")
                assert re.fullmatch(r"[A-Z].*\.", answer.render(rng, slots))


# ---------------------------------------------------------------- numbers


def test_number_words() -> None:
    assert [number_word(n) for n in (0, 7, 13, 20, 21, 40, 99, 100)] == [
        "zero", "seven", "thirteen", "twenty", "twenty-one", "forty", "ninety-nine", "one hundred",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="0 to 100, not 101"):
        number_word(101)


def test_every_sum_is_right() -> None:
    rng = random.Random(5)
    words = {number_word(n): n for n in range(101)}
    signs = {"plus": "+", "minus": "-", "times": "x"}
    apply = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "x": lambda a, b: a * b}
    digits = spelled = 0
    for _ in range(3000):
        document = write_arithmetic(rng)
        for a, sign, b, result in re.findall(r"(\d+) ([-+x]) (\d+)(?: =|\?\nAnswer:|\?) (\d+)\.", document):
            assert apply[sign](int(a), int(b)) == int(result)
            digits += 1
        pattern = r"([a-z-]+) (plus|minus|times) ([a-z-]+)(?: is|\?\nanswer:|\?) ([a-z- ]+)\."
        for a, sign, b, result in re.findall(pattern, document.lower()):
            assert apply[signs[sign]](words[a], words[b]) == words[result]
            spelled += 1
    assert digits > 3000
    assert spelled > 1000


def test_every_story_problem_is_right() -> None:
    rng = random.Random(6)
    lines = [line for _ in range(3000) for line in write_arithmetic(rng).split("\n")]
    problems = [
        line
        for line in lines
        if re.search(r"\d.*[a-z].*\d.*\d", line) and ("has" in line or "There are" in line)
    ]
    problems = [line for line in problems if "?" not in line and "comes" not in line]
    assert len(problems) > 500
    for line in problems:
        a, b, c = (int(number) for number in re.findall(r"\d+", line))
        assert c in (a + b, a - b, a * b), line
        assert not re.search(r"\b1 (apples|nuts|children)|are (only )?1 ", line), line


def test_counting_goes_by_one_step() -> None:
    rng = random.Random(8)
    checked = 0
    for _ in range(2000):
        for row in re.findall(r"(?:\d+, ){5,}\d+\.", write_arithmetic(rng)):
            numbers = [int(number) for number in re.findall(r"\d+", row)]
            steps = {later - earlier for earlier, later in pairwise(numbers)}
            assert len(steps) == 1
            assert abs(steps.pop()) in (1, 2, 5, 10)
            checked += 1
    assert checked > 100


# ---------------------------------------------------------------- the template language


def test_templates_choose_and_fill() -> None:
    template = Template("[A animal] {runs|sits{| down}}. [Name] sees [the] and [a animal].")
    seen = {
        template.render(random.Random(seed), {"animal": "owl", "name": "mia", "the": "it"})
        for seed in range(60)
    }
    end = ". Mia sees it and an owl."
    assert seen == {f"An owl runs{end}", f"An owl sits{end}", f"An owl sits down{end}"}


@pytest.mark.parametrize("source", ["{a|b", "a|b", "a}", "[name", "name]", "{a|{b}"])
def test_malformed_templates_are_refused(source: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(source))):
        Template(source)


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        Template("[nobody] sings.").render(random.Random(0), {"somebody": "Mia"})
