"""Plots about courage and practice: fears, learning, contests, small heroes and journeys."""

from cblab.training.corpus.plot import Plot
from cblab.training.corpus.words import BIG_ANIMALS, FOODS, WATER_ANIMALS

FEAR = Plot(
    "fear",
    (
        (
            "[Hero] was happy, but there was one thing: [he] was afraid of [fear].",
            "?{The others laughed at [him].|[He] never told anyone about it.|[He] was a little ashamed of "
            "it.}",
        ),
        (
            "[event]",
            '[Hero] {began to shake|wanted to run away|closed [his] eyes}. "I cannot do it," {[he] '
            'said|[he] whispered}. "I am too afraid."',
            '[Wise] {saw [him]|came by} and sat down beside [him]. "{Everyone is afraid of something|I was '
            'afraid, too, when I was small}," said [wname].',
            '"What can I do?" asked [hero]. "[advice]," said [wname]. "{I will stay with you|I am right '
            'here}."',
            "[Hero] {took a deep breath|held [wname]'s hand}. {First [he] took one small step, and then "
            "another.|[He] tried once and stopped. Then [he] tried again.}",
        ),
        (
            "[victory]",
            '"I did it!" {cried|shouted} [hero]. "{You were very brave|I knew you could do it}," said '
            "[wname].",
            "{To be brave does not mean to have no fear. It means to try all the same.|From that day on, "
            "[hero] was not afraid of [fear] any more.|That night, [hero] told [his] [parent] all about it, "
            "and they were both proud.|And when another little one was afraid, [hero] was the one who "
            "helped.}",
        ),
    ),
    rows={
        "fear event advice victory": (
            (
                "the dark",
                "One evening, the lamp went out, and it was dark everywhere.",
                "Look up and count the stars",
                "[He] counted ten stars, and then twenty, and the dark was soft and full of lights.",
            ),
            (
                "thunder",
                "One night, there was a big storm with loud thunder.",
                "Count slowly after the flash, and you will hear the storm go away",
                "[He] counted to three, then to seven, then to twelve, and the thunder was far away.",
            ),
            (
                "deep water",
                "One hot day, all the others jumped into the lake.",
                "Put one foot in the water, and then the other",
                "Soon the water came up to [his] belly, and then [hero] was swimming.",
            ),
            (
                "high places",
                "One day, a kitten sat high up in a tree and could not get down.",
                "Do not look down, and go one branch at a time",
                "[He] climbed up branch after branch and brought the kitten down.",
            ),
            (
                "the big dog",
                "One morning, [hero] had to walk past the big dog by the gate.",
                "Speak softly and let him smell your hand",
                "The dog smelled [him], wagged his tail and licked [his] face.",
            ),
            (
                "the old bridge",
                "One day, all the others ran across the old bridge over the river.",
                "Hold on to the rope and look at the other side",
                "Step by step, [hero] came to the other side.",
            ),
            (
                "new places",
                "One morning, it was the first day of school.",
                "Say hello to one person and smile",
                "[Hero] said hello to one, and that one said hello back, and soon [he] had three friends.",
            ),
        )
    },
    not_for=WATER_ANIMALS,
)

LEARNING = Plot(
    "learning",
    (
        (
            "[Hero] had a wish: [he] wanted to learn to [skill]. {[His] friend [friend] could do it very "
            "well.|[His] friend [friend] was very good at it.}",
        ),
        (
            "[Day], [he] tried it for the first time. [fail1]",
            '[He] tried again. [fail2] {The others laughed.|"It is too hard," said [hero].} {"I will never '
            'learn it," [he] said.|[Hero] wanted to give up.}',
            '{[Friend] sat down beside [him]|Then [friend] came to [him]}. "{I failed many times before I '
            'could do it|It was hard for me, too}," [fhe] said. "{Try a little every day|Do not give up}."',
            "So [hero] practised {every day|every morning before breakfast|every afternoon}. {On Monday it "
            "was bad, on Tuesday it was better, and on Wednesday it was almost good.|Each day it went a "
            "little better.}",
        ),
        (
            "{Then, on a sunny day|One week later|At the end of the week}, [hero] tried once more. [success]",
            '"{Look|Look at me}!" [he] {shouted|cried}. [Friend] clapped {[fhis] hands|and cheered}. "{You '
            'never gave up|I am proud of you}!" [fhe] said.',
            "{[Hero] learned that practice makes hard things easy.|Now [hero] teaches the little ones to "
            '[skill].|After that, the two friends did it together every day.|"I can do hard things," '
            'thought [hero], "if I keep trying."}',
        ),
    ),
    rows={
        "skill fail1 fail2 success": (
            (
                "ride a bicycle",
                "[He] rolled into a bush.",
                "[He] fell on the grass.",
                "The wheels turned and turned, and [he] did not fall.",
            ),
            (
                "skate on the ice",
                "[His] feet slipped, and [he] sat down hard.",
                "[He] slid into a pile of snow.",
                "[He] made a big circle on the ice and stayed on [his] feet.",
            ),
            (
                "whistle",
                "Only air came out.",
                "It sounded like the wind in a bottle.",
                "A clear, bright whistle rang over the fields.",
            ),
            (
                "fly a kite",
                "The kite fell into the mud.",
                "The kite got stuck in a tree.",
                "The kite rose high above the trees and danced in the wind.",
            ),
            (
                "jump rope",
                "The rope hit [his] feet.",
                "The rope got tangled around [his] legs.",
                "[He] jumped ten times, and then twenty times.",
            ),
            (
                "swim",
                "[He] swallowed a lot of water.",
                "[He] splashed and went nowhere.",
                "[He] swam all the way to the other side of the pond.",
            ),
            (
                "bake bread",
                "The bread was as hard as a stone.",
                "The bread was black and burnt.",
                "The bread was round and brown, and it smelled wonderful.",
            ),
            (
                "read",
                "All the letters looked the same.",
                "[He] mixed up the words.",
                "[He] read the whole first page of a book.",
            ),
            (
                "play the flute",
                "It sounded like a goose.",
                "It squeaked so loud that the cat ran away.",
                "A sweet little song came out of the flute.",
            ),
            (
                "tie a knot",
                "The knot fell open.",
                "[He] tied [his] own fingers together.",
                "The knot was neat and strong.",
            ),
        )
    },
    not_for=WATER_ANIMALS,
)

STAGE = Plot(
    "stage fright",
    (
        (
            "[Hero] loved to [act], but only when nobody was there. {[He] did it in the garden, behind the "
            "trees.|[He] was very shy.}",
        ),
        (
            "[Day], there was {a big show|a party with a show} in {the village|the town square|the meadow}. "
            '"Will you [act] for us?" asked [his] friend [friend]. {[Hero] wanted to say no, but [he] said '
            'yes.|"I will try," said [hero].}',
            "When the day came, {everyone was there|there were many faces}. [Hero] stepped forward. [His] "
            "{knees shook|mouth was dry}, and {[he] forgot everything|not a sound came out}. {[He] ran "
            "behind the curtain.|[He] wanted to run away.}",
            '{[Friend] came to [him].|[Friend] took [his] hand.} "{Do not look at all of them|Forget about '
            'the others}," [fhe] said. "{Look only at me|Do it just for me}."',
        ),
        (
            "[Hero] {went back|took a deep breath} and looked at [friend]. Then [he] began to [act]. At "
            "first {it was very soft and small|[he] was slow}, but then {it grew better and better|[he] "
            "forgot [his] fear}.",
            "When it was over, it was quiet for a moment. Then everyone {clapped and cheered|jumped up and "
            "clapped}!",
            '{"Thank you," said [hero] to [friend]. "I could not do it without you."|"Again! Again!" they '
            "shouted, and [hero] laughed.}",
            "{From that day on, [hero] did not hide any more.|[Hero] learned that one friend can make you "
            "brave.}",
        ),
    ),
    picks={"act": ("sing", "dance", "tell stories", "play the drum", "play the violin", "do magic tricks")},
)

SMALL_HERO = Plot(
    "small hero",
    (
        (
            '[Hero] was the smallest of all. {"You are too small to help us," said the others.|"You are too '
            'small for our games," said the others.} {That made [hero] sad.|[Hero] said nothing, but it '
            "hurt.}",
        ),
        (
            "[Day], {there was trouble|something happened}. [problem]",
            "[Big1] tried, but {[big1] was too big|it did not work}. [Big2] tried, too, but {[big2] was "
            "even bigger|that did not work either}.",
            '{"What shall we do now?" they asked.|Nobody knew what to do.} "Let me try," said [hero]. {They '
            'laughed.|"You? You are so small!" they said.} But [hero] {did not listen to them|was not '
            "afraid}.",
            "[deed]",
        ),
        (
            '{Everyone cheered!|"Hooray!" they all shouted.} {[Big1] lifted [hero] high into the '
            'air.|[Big2] said, "We are sorry that we laughed."}',
            '"{You may be small, but you are a hero|We need you, [hero]}," said [big1].',
            "{After that, nobody called [hero] too small.|And [hero] knew now that small ones can do great "
            "things.|From then on, [hero] was the first one they asked for help.}",
        ),
    ),
    picks={
        "big1": ("the bear", "the horse", "the wolf", "the goat"),
        "big2": ("the elephant", "the cow", "the moose", "the camel"),
    },
    rows={
        "problem deed": (
            (
                "The key to the food house fell into a crack in the wall.",
                "[Hero] crawled into the crack, and soon [he] came out with the key.",
            ),
            (
                "A baby bird fell into a narrow hole.",
                "[Hero] climbed down into the hole and carried the baby bird up.",
            ),
            (
                "The big bell did not ring any more, because its rope was caught high inside the tower.",
                "[Hero] crawled through the tiny window, freed the rope, and the bell rang again.",
            ),
            (
                "The mill stood still, because a stone was stuck between its wheels.",
                "[Hero] crept between the wheels and pushed the stone out, and the mill turned again.",
            ),
            (
                "The gate was locked from inside, and all the food was behind it.",
                "[Hero] slipped under the gate and opened it from the other side.",
            ),
        )
    },
    not_for=BIG_ANIMALS,
)

RACE = Plot(
    "race",
    (
        (
            "[Friend] the [fkind] was the fastest of all, and [fhe] {liked to say so|told everyone}. "
            '{"Nobody can beat me!" [fhe] said.|"I always win," said [friend].}',
        ),
        (
            "[Day], there was a big race {around the lake|to the old mill and back|through the forest}. "
            '[Hero] {was not very fast, but [he] wanted to try|wanted to run, too}. {[Friend] laughed. "You '
            'are much too slow!"|"You will be last," said [friend].}',
            '"Ready, steady, go!" They all ran. {[Friend] was far ahead.|[Friend] ran like the wind.} '
            "[Hero] ran {slowly but steadily|as well as [he] could}.",
            '{Then [friend] slipped and fell. "Ow, my foot!" [fhe] cried.|Then [friend] did not see a hole '
            'and fell. "Help!" [fhe] cried.} {The others ran past [fhim].|Nobody stopped.}',
            '{But [hero] stopped.|When [hero] came, [he] stopped at once.} "{Lean on me|Hold on to me}," '
            "[he] said. They {walked|went} the rest of the way together.",
        ),
        (
            "They came in last of all. But {everyone clapped for them|the others cheered the most for them}.",
            '"{You could pass me, but you stopped,|Why did you stop for me?}" said [friend]. {"Thank '
            'you."|"I was not kind to you."} "{A friend is better than a prize|You needed help}," said '
            "[hero].",
            "{[Friend] never laughed at anyone again.|From then on, the fast one and the slow one were best "
            "friends.|And the judge gave [hero] a small gold cup for the kindest heart.}",
        ),
    ),
)

BOAT = Plot(
    "boat trip",
    (
        (
            "[Hero] and [his] friend [friend] {built a small boat out of wood|found an old boat and mended "
            "it}. {They painted it [colour].|They gave it a [colour] sail.}",
        ),
        (
            "[Day], they sailed {out onto the lake|down the river|out onto the sea}. The sun was warm, and "
            "{little waves tickled the boat|fish jumped beside them}.",
            "But then {thick fog came|a white fog came over the water}. They could not see {the "
            'land|anything}. {"Where are we?" asked [friend].|"I am scared," said [friend].}',
            "They {rowed to the left, but there were only rocks|shouted, but nobody answered}. They {rowed "
            "to the right, but there was only water|rang a bell, but all was quiet}.",
            '{"Stay calm," said [hero]. "Let us listen."|"Let us be quiet and listen," said [hero].} Then '
            "they heard [sound].",
        ),
        (
            "They {rowed toward it|followed it}, slowly and carefully. {Little by little, the fog grew "
            "thin.|Soon they could see a light.} {There was the land!|And there was the shore!}",
            '[Wise] {was waiting for them|stood on the shore}. "{You were clever and calm|I am glad that '
            'you are safe}," said [wname].',
            "They {drank hot cocoa|ate [food]} and {told the story again and again|laughed about their "
            "adventure}.",
            '{After that, they always looked at the sky before they sailed.|"With you, I am not afraid of '
            'any fog," said [friend].|It was their first great adventure, and not their last.}',
        ),
    ),
    picks={
        "colour": ("red", "blue", "green", "yellow", "white"),
        "sound": (
            "the song of a bird that lived on the shore",
            "the church bell of the village",
            "the bark of a dog on the shore",
            "the deep horn of the lighthouse",
            "someone who was singing on the shore",
        ),
        "food": FOODS,
    },
)

PLOTS = (FEAR, LEARNING, STAGE, SMALL_HERO, RACE, BOAT)
