"""Plots about things lost, found and discovered."""

from cblab.training.corpus.plot import Plot
from cblab.training.corpus.words import FOODS, FRUITS, HIDING_PLACES

LOST_THING = Plot(
    "lost thing",
    (
        (
            "[Hero] had [a treasure] that [he] {loved very much|loved more than anything|took everywhere}.",
            "?{It was a gift from [his] [parent]|[His] [parent] had given it to [him]|[He] slept with it "
            "every night}.",
        ),
        (
            "[Day], {the [treasure] was gone|[hero] could not find the [treasure]|[hero] lost the "
            "[treasure]}.",
            "{[Hero] was very sad.|[Hero] felt sad and worried.|[Hero] began to cry.}",
            "[He] looked [spot], but it was not there. [He] looked [spot2], but it was not there either.",
            'Then [he] met [wise]. {"Why are you so sad?" asked [wname].|"What is wrong?" asked [wname].}',
            '"I lost my [treasure]," said [hero]. {"I looked everywhere."|"I do not know where it is."}',
            '{"Do not worry," said [wname]. "I will help you."|"Let us look together," said [wname].}',
        ),
        (
            "They {looked and looked|walked slowly and looked|searched together}. {At last, they "
            "looked|Then they looked} [spot3], and there was the [treasure]!",
            '{"Thank you!" said [hero].|"You found it! Thank you!" cried [hero].|[Hero] jumped for joy.} '
            "[He] {held the [treasure] tight|hugged the [treasure]|laughed} and {gave [wname] a big "
            "smile|smiled}.",
            "{From that day on, [hero] always put the [treasure] in a safe place.|After that, [hero] took "
            "good care of the [treasure].|[Hero] learned that it is easier to look for something with a "
            "friend.|That night, [hero] slept well, with the [treasure] beside [him].}",
        ),
    ),
    picks={"spot": HIDING_PLACES[:7], "spot2": HIDING_PLACES[7:14], "spot3": HIDING_PLACES[14:]},
)

LOST_BABY = Plot(
    "lost baby animal",
    (
        ("[Hero] liked {to walk in the [nature]|to play in the [nature]|the quiet paths of the [nature]}.",),
        (
            "[Day], [he] heard {a soft cry|a small, sad sound|someone crying} {behind a bush|under a "
            "tree|near a rock}.",
            "[He] looked and saw a [baby]. It was {all alone|cold and alone|shaking with fear}.",
            '{"I cannot find my mother," it said.|"I want my mother," it cried.}',
            '{"Do not be afraid," said [hero]. "I will help you."|"Do not cry," said [hero]. "We will find '
            'her together."}',
            "They asked {a crow|a bee|a snail}, but {it had not seen her|it did not know}. They asked {an "
            "old toad|a beetle|a woodpecker}, but it {did not know|only shook its head}.",
            "?{The sun went down, and the [baby] was tired. [Hero] carried it|The way was long, and [hero] "
            "carried the [baby]} on [his] back.",
        ),
        (
            "Then {they heard someone call|a voice called} {from behind the hill|from the river|from far "
            "away}. It was [mother], {and she had looked everywhere|and she was looking for her baby}!",
            "The [baby] ran to its mother, and she {held it close|kissed its nose|laughed and cried}.",
            '"Thank you, [hero]," said [mother]. {"You have a kind heart."|"You are a good friend."}',
            "{[Hero] walked home with a warm feeling in [his] heart.|From then on, the [baby] came to play "
            "with [hero] every day.|[Hero] went home and told [his] [parent] everything, and [he_p] was "
            "proud of [him].}",
        ),
    ),
    picks={"nature": ("forest", "woods", "meadow", "hills")},
    rows={
        "baby mother": (
            ("baby duck", "the mother duck"),
            ("baby bird", "the mother bird"),
            ("baby rabbit", "the mother rabbit"),
            ("baby deer", "the mother deer"),
            ("little lamb", "the mother sheep"),
            ("baby owl", "the mother owl"),
            ("baby squirrel", "the mother squirrel"),
            ("baby goat", "the mother goat"),
            ("chick", "the mother hen"),
        )
    },
)

FOUND_EGG = Plot(
    "found egg",
    (
        (
            "[Hero] {liked to look for small things in the grass|liked to walk around before breakfast|went "
            "outside every morning}.",
        ),
        (
            '[Day], [he] found [a eggcolour] egg [spot]. {"Whose egg is this?" [he] asked.|It was {still '
            "warm|very small|all alone}.}",
            "[Hero] {wrapped it in [his] scarf|put it in a soft nest of leaves} {to keep it warm|so that it "
            "would not be cold}.",
            '[He] asked the hen. "No," said the hen. "{My eggs are all here|It is not mine}." [He] asked '
            'the goose. "No," said the goose. "{My eggs are bigger|That egg is too small}."',
            "?{That night it was cold, and [hero] did not sleep. [He] kept the egg warm|All night long, "
            "[hero] sat beside the egg}.",
        ),
        (
            "{In the morning|The next day|At sunrise}, there was a small sound. Crack! Out came a little "
            "[chick].",
            '"{Peep|Hello}!" said the little [chick], and it {looked at [hero]|hopped onto [his] foot}.',
            '{Just then|Soon}, {a big bird flew down|its mother came flying}. "My baby!" she cried. "{The '
            'wind blew my egg out of the nest|I looked for my egg all night}."',
            '"Thank you for keeping it warm," she said to [hero]. [Hero] {was proud|smiled} and {waved '
            "goodbye|felt happy}.",
            "{Every spring after that, the [chick] came back to sing for [hero].|And when the [chick] could "
            "fly, it flew to [hero] first.|[Hero] learned that even a small creature needs someone to care "
            "for it.}",
        ),
    ),
    picks={
        "eggcolour": ("small blue", "white", "tiny green", "small brown", "pale blue"),
        "spot": (
            "under a bush",
            "in the tall grass",
            "beside the path",
            "near the pond",
            "at the foot of a tree",
        ),
        "chick": ("bird", "duckling", "robin", "swan", "blackbird"),
    },
)

HIDDEN_MAP = Plot(
    "map",
    (
        (
            "[Hero] and [his] friend [friend] {were always together|played together every day|both loved "
            "adventures}.",
        ),
        (
            "[Day], they found {an old map|a piece of paper with a map} [spot]. There was a {big red|small "
            "black} cross on it.",
            '{"A treasure!" said [friend]. "Let us find it!"|"Let us follow it!" said [hero].}',
            "They {walked past|went to} [step1] and {climbed over|went around} [step2]. {Then they came to "
            "[step3].|At last they reached [step3].}",
            "There they {dug a hole|began to dig}, and {soon they found|after a while they found} {a "
            "small|an old} wooden box.",
            '?{"Maybe it is full of gold!" whispered [friend].|Their hearts beat fast.}',
        ),
        (
            "[Hero] opened the box. {There was no gold in it.|It was not full of gold.} Inside was [inside].",
            "{At first they were surprised, but then they laughed.|[Friend] looked at [hero], and they both "
            "laughed.}",
            "[result]",
            '{"This is better than gold," said [hero].|"What a good day!" said [friend].|"The best treasure '
            'is a good friend," said [hero].}',
            "{They put a new surprise in the box and hid it again for someone else.|They walked home side "
            "by side while the sun went down.|They kept the map and never forgot that day.}",
        ),
    ),
    picks={
        "spot": (
            "in an old book",
            "in a bottle by the river",
            "under a stone",
            "in the attic",
            "in a hollow tree",
        ),
        "step1": ("the old mill", "the tall pine tree", "the stone bridge", "the red gate"),
        "step2": ("a big rock", "a low wall", "a muddy ditch", "a fallen tree"),
        "step3": ("a quiet beach", "the top of the hill", "a little island", "an old garden", "a dark cave"),
    },
    rows={
        "inside result": (
            (
                'a bag of seeds and a note: "Plant me!"',
                "They planted the seeds, and in summer there were flowers everywhere.",
            ),
            ("a little flute", "[Hero] played the flute, and [friend] danced in the grass."),
            ("a jar of honey", "They sat down and ate the honey together, and it was sweet."),
            ("a kite with a long tail", "They flew the kite together until the evening."),
            ("a book of old stories", "They sat under a tree and read the stories to each other."),
            ("a pair of shiny bells", "They each took one bell, so that they could always find each other."),
        )
    },
)

LITTLE_DOOR = Plot(
    "little door",
    (
        (
            "[Hero] {asked many questions every day|looked closely at everything|always saw things that "
            "nobody else saw}.",
        ),
        (
            "[Day], [he] saw [a doorcolour] door [doorplace]. It was {very small|no bigger than a book}. "
            '{"Who lives here?" [he] wondered.|[He] had never seen it before.}',
            "[Hero] {knocked three times|knocked softly}. {Knock, knock, knock!|At first, nothing happened.}",
            'The door opened, and out came [a dweller]. {"Hello," it said. "|"Good day," it said. '
            '"}[trouble]"',
            '{"I can help you," said [hero].|"May I help?" asked [hero].|"Do not worry, I will help," said '
            "[hero].}",
        ),
        (
            "[help]",
            '{The [dweller] was so happy that it danced.|"You did it!" cried the [dweller].|The [dweller] '
            "clapped and smiled.}",
            '"{Come and visit me|Please come back} any time," {said the [dweller]|it said}, and it gave '
            "[hero] {a tiny cup of tea|a tiny cookie|a tiny bell}.",
            "{After that, [hero] knocked on the little door every week.|[Hero] told nobody, and it was a "
            "lovely secret.|From that day on, [hero] had one more friend, and a very small one.}",
        ),
    ),
    picks={
        "doorcolour": ("little red", "little green", "little blue", "round yellow", "tiny wooden"),
        "doorplace": (
            "in the trunk of a tree",
            "at the foot of a wall",
            "behind the rose bush",
            "under the stairs",
        ),
    },
    rows={
        "dweller trouble help": (
            (
                "beetle",
                "My lamp went out, and it is so dark inside.",
                "[Hero] caught a bit of sunlight with a small mirror, and the whole room was bright.",
            ),
            (
                "mouse",
                "My roof has a hole, and the rain comes in.",
                "[Hero] put a big leaf on the roof and a flat stone on the leaf, and not one drop came in.",
            ),
            (
                "cricket",
                "My violin has no string, and tonight I must play.",
                "[Hero] found a long, thin hair from a horse's tail, and it made a very good string.",
            ),
            (
                "snail",
                "My garden is dry, and the well is too far for me.",
                "[Hero] brought water in a cup, again and again, until the garden was green.",
            ),
            (
                "toad",
                "I have baked a cake, but I have nobody to share it with.",
                "[Hero] sat down at the tiny table and shared the cake, and they talked for a long time.",
            ),
        )
    },
)

NIGHT_NOISE = Plot(
    "noise at night",
    (
        ('Every night, [his] [parent] told [him] a story and said, "{Good night|Sleep well}, [hero]."',),
        (
            "{One night|One dark night|One windy night}, [hero] heard a strange noise. {It went|The noise "
            "went} [noise]!",
            '[Hero] {hid under the blanket|pulled the blanket over [his] head|sat up in bed}. "{Is it a '
            'monster|What is that}?" [he] {whispered|thought}.',
            "The noise came again: [noise]! [Hero]'s heart beat fast.",
            '{But [he] wanted to be brave.|"I will be brave," [he] said.} [He] took a {lamp|small '
            "light|candle} and {walked slowly|tiptoed} to the [where].",
        ),
        (
            "{There was no monster at all.|And what did [he] see?} It was only [cause]!",
            "[Hero] {laughed out loud|began to laugh|felt much better}. [after]",
            "{Then [he] went back to bed and slept until morning.|Soon [hero] was fast asleep.}",
            "{After that night, [hero] was not afraid of noises any more.|[Hero] learned that a scary thing "
            'is often small when you look at it.|"Things are not so scary when you look at them," [he] told '
            "[his] [parent] in the morning.}",
        ),
    ),
    rows={
        "noise where cause after": (
            (
                "tap, tap, tap",
                "window",
                "a branch that was tapping on the glass",
                "[He] waved at the branch.",
            ),
            (
                "scratch, scratch",
                "door",
                "a cold kitten that wanted to come in",
                "[He] let it in and gave it warm milk.",
            ),
            (
                "bang, bang",
                "kitchen",
                "an open window in the wind",
                "[He] closed the window, and all was quiet.",
            ),
            (
                "drip, drip, drip",
                "kitchen",
                "a drop of water that fell into a pot",
                "[He] put a cloth in the pot.",
            ),
            (
                "hoo, hoo",
                "window",
                "an owl that was singing to the moon",
                "[He] listened to the song for a while.",
            ),
            (
                "crunch, crunch",
                "kitchen",
                "a little mouse with a piece of cheese",
                "[He] gave it a bit of bread, too.",
            ),
            (
                "rattle, rattle",
                "gate",
                "an old tin can that rolled in the wind",
                "[He] put the can in a box.",
            ),
        )
    },
)

LOST_WAY = Plot(
    "lost way",
    (
        (
            "[Hero] {often went to the forest to find [fruit]|liked to pick [fruit] in the forest}.",
            '?"{Do not go too far|Stay near the path}," said [his] [parent].',
        ),
        (
            "[Day], [he] {followed a blue butterfly|followed a little bird|ran after a yellow leaf} and "
            "went {deep into the forest|far from the path}. {When [he] looked around, [he] did not know the "
            "way.|Soon [he] was lost.}",
            '{All the trees looked the same.|It grew dark, and the wind was cold.} "{How will I get '
            'home|Which way is home}?" [hero] said.',
            "[He] {went left, but there was only a wall of thorns|tried one path, but it ended at a big "
            "rock}. [He] {went right, but there was only mud|tried another path, but it went in a circle}.",
            "{Then [he] sat down and thought.|[He] wanted to cry, but then [he] took a deep breath.} [idea]",
        ),
        (
            "[follow] {At last, [he] saw a light between the trees.|And there, behind the last tree, was a "
            "light.} It was home!",
            '[His] [parent] {ran out|was waiting at the door} and {held [him] tight|hugged [him]}. "{I was '
            'so worried|There you are}," [he_p] said.',
            "They {sat by the fire|sat at the table} and ate [food].",
            "{[Hero] never left the path again without telling someone.|[Hero] learned to stay calm and to "
            'think when [he] was in trouble.|"Next time, I will stay on the path," said [hero].}',
        ),
    ),
    picks={"fruit": FRUITS, "food": FOODS},
    rows={
        "idea follow": (
            (
                '"The river runs past our house," [he] said. "I will follow the water."',
                "[He] listened for the river and walked along the water.",
            ),
            (
                '"The evening star is above our roof," [he] said.',
                "[He] looked up, found the bright star and walked toward it.",
            ),
            (
                '"I will follow my own footsteps," [he] said.',
                "[He] found [his] footsteps in the mud, one after the other.",
            ),
            (
                '"I will listen," [he] said. Far away, a bell rang.',
                "[He] walked toward the sound of the bell.",
            ),
            (
                '"I will ask someone," [he] said. An owl sat on a branch, and it knew the way.',
                "The owl flew from tree to tree, and [hero] followed it.",
            ),
        )
    },
)

PLOTS = (LOST_THING, LOST_BABY, FOUND_EGG, HIDDEN_MAP, LITTLE_DOOR, NIGHT_NOISE, LOST_WAY)
