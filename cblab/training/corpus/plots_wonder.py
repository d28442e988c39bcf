"""Plots about wonders and changes: a star, a bird in a cage, a baby, a giant, a letter, lanterns, a sled."""

from cblab.training.corpus.plot import Plot
from cblab.training.corpus.words import FOODS, HIDING_PLACES

FALLEN_STAR = Plot(
    "fallen star",
    (
        ("Every evening, [hero] {sat at the window and looked at the stars|said good night to the stars}.",),
        (
            "{One night|One clear night}, a star fell from the sky! It {fell|landed} [spot]. [Hero] {ran "
            "outside|went to look for it}, and there it was: a little star, {no bigger than a plum|as small "
            "as a nut}.",
            '"{I fell out of the sky|I leaned too far and fell}," said the star. "{I want to go home.|How '
            'will I get home?}" {Its light was very weak.|Its light grew weaker and weaker.}',
            "[Hero] threw the star as high as [he] could, but it {came down again|fell into the grass}. "
            "[He] {tied it to a kite, but there was no wind|put it on the roof, but that was not high "
            "enough}.",
            '{"Who can fly high?" asked [hero].|[Hero] thought about it for a long time.} Then [he] called '
            '[flyer]. {"Please help us," said [hero].|"Can you carry a star?" [he] asked.} "{I can try|Of '
            'course}," said [flyer].',
        ),
        (
            "[Flyer] took the star and flew up, {higher than the trees|higher than the hills} and higher "
            "than the clouds. {[Hero] held [his] breath.|[Hero] waited and watched.}",
            "Then, {far up in the sky|high above}, the star was back in its place. It {shone brighter than "
            "before|blinked three times}.",
            '"Thank you!" called [hero], and [flyer] {came back and bowed|flew around [him] in a circle}.',
            "{After that, one star always blinked when [hero] looked up.|[Hero] never felt alone at night "
            "again, because one star was [his] friend.|[Hero] learned that even a star needs help "
            "sometimes.}",
        ),
    ),
    picks={
        "spot": (
            *HIDING_PLACES[3:7],
            "in the grass behind the house",
            "next to the pond",
            "into the flowers",
        ),
        "flyer": ("the wild goose", "the old crow", "the white owl", "the stork", "the eagle"),
    },
)

CAGED_BIRD = Plot(
    "bird in a cage",
    (
        (
            "{At the market, [hero] got a [colour] bird in a cage.|[His] [parent] gave [him] a [colour] "
            "bird in a cage.} {[Hero] was very happy.|It was the most beautiful bird in the world.}",
        ),
        (
            '"{Sing for me|Please sing}," said [hero]. But the bird did not sing. [He] gave it {seeds|a '
            "piece of apple}, but it {did not eat|did not sing}. [He] gave it {a little bell|a golden ring "
            "to sit on}, but it {only looked out of the window|was still sad}.",
            "[Day], {many birds flew over the house|the birds outside sang in the trees}. The [colour] bird "
            "{beat its wings against the cage|looked up at them and gave a small cry}.",
            '{Then [hero] understood.|Now [hero] knew why it was sad.} "{You want to be free|You miss the '
            'sky}," [he] said. It was hard, because [he] loved the bird. {[He] thought about it all '
            'night.|[He] asked [his] [parent], and [he_p] said, "You must decide."}',
            "{In the morning|At sunrise}, [hero] carried the cage outside and opened {the little door|it}. "
            "The bird {hopped out|sat still for a moment}, and then it flew away.",
        ),
        (
            "{The cage was empty, and [hero] was a little sad.|[Hero] looked up until it was gone.} {But "
            "then [he] heard a song.|But the next morning, there was a song.}",
            "The [colour] bird sat {in the tree|on the fence} and sang, {loud and clear|sweeter than any "
            "other bird}. {It sang for [hero].|It came back because it wanted to.}",
            "{Every day, it came to sing.|[Hero] gave away the cage and never needed it again.}",
            '{[Hero] learned that you cannot lock up what you love.|"A free bird sings best," said '
            '[hero].|"You were right to open the door," said [his] [parent].}',
        ),
    ),
    picks={"colour": ("blue", "yellow", "green", "red", "golden", "white")},
)

NEW_BABY = Plot(
    "new baby",
    (
        (
            "{Then a new baby came into the family.|One spring, there was a new baby in the family.} It was "
            "very tiny, and everyone {came to look|was happy}. {Only [hero] was not happy.|But [hero] did "
            "not smile.}",
        ),
        (
            '"{Play with me|Read me a story}," said [hero]. "{Not now, the baby is asleep|Later, I must '
            'feed the baby}," said [his] [parent]. {It was the same every day.|The next day it was the '
            "same.}",
            '"{Nobody loves me any more|They only love the baby}," thought [hero]. [He] {packed a small bag '
            "and sat down behind the house|hid under the table and did not come out}.",
            "Then {the baby began to cry|there was a loud cry}. [His] [parent] {sang to it|carried it "
            "around}, but it cried. [He_p] gave it {milk|a toy}, but it cried even louder.",
            "{[Hero] came closer.|[Hero] could not listen to it any longer.} [He] [trick]. {The baby looked "
            "at [him].|The baby stopped.} And then it laughed! It was its very first laugh.",
        ),
        (
            '"{Only you can do that|The baby loves you most of all}," said [his] [parent], and {put an arm '
            'around [him]|kissed [him]}. "{We have enough love for two|You were once as small as that}."',
            "That evening, [hero] {told the baby a story|sang the baby to sleep}. {The baby held [his] "
            "finger and fell asleep.|The baby did not understand it, but it smiled.}",
            "{[Hero] was not the smallest any more, and that was a fine thing.|[Hero] was proud to be the "
            "big one.|After that, [hero] was the one who could always make the baby laugh.}",
        ),
    ),
    picks={
        "trick": (
            "made a funny face",
            "danced like a goose",
            "put a pot on [his] head",
            "stood on one leg and clapped",
            'said "Boo!" from behind a cloth',
        ),
    },
)

GIANT = Plot(
    "shy giant",
    (
        (
            "{Everyone was afraid of the giant on the mountain.|On the mountain lived a giant, and everyone "
            'was afraid of him.} "{He is angry and bad|He eats everything}," they said. {But nobody had '
            "ever spoken to him.|But nobody had ever seen him up close.}",
        ),
        (
            "[Day], [hero] {lost [his] way on the mountain|climbed too high and could not get down}. Then "
            "the ground shook: boom, boom, boom! It was the giant! [Hero] {hid behind a rock|could not "
            "move}.",
            "{The giant bent down.|The giant saw [him].} [Hero] {closed [his] eyes|held [his] breath}. But "
            "the giant did not {roar|shout}. He {sat down and sighed|began to cry}.",
            '"{Are you sad|What is wrong}?" asked [hero]. "{Everyone runs away from me|I have no friends}," '
            'said the giant. "[wish]"',
            '{[Hero] was not afraid any more.|[Hero] stepped out from behind the rock.} "{I will be your '
            'friend|Come with me}," [he] said. "{I will tell the others|They do not know you}."',
        ),
        (
            "The giant put [hero] on his {shoulder|hand} and carried [him] home. {At first, they all ran "
            'into their houses.|The others screamed and ran away.} "{Stop|Do not be afraid}!" called '
            '[hero]. "He is kind!"',
            "[proof]",
            "{One by one, they came out of their houses.|Then they all came and thanked him.} {They gave "
            "the giant a big pot of soup.|They made a big party for the giant.}",
            "{[Hero] learned that you must know someone before you judge.|After that, the giant came to "
            "visit every Sunday.|From that day on, the giant was never alone.}",
        ),
    ),
    rows={
        "wish proof": (
            (
                "I only want to play ball.",
                "The giant lifted a fallen tree from the road, as if it were a twig.",
            ),
            ("I only want to hear a song.", "The giant mended the church roof with two fingers."),
            (
                "I only want to drink tea with someone.",
                "The giant stood in front of the houses and stopped the cold wind.",
            ),
            (
                "I only want to smell the flowers.",
                "The giant moved a big rock, and the stream came back to the fields.",
            ),
            (
                "I only want to tell my stories.",
                "The giant picked a kitten from the highest roof and set it down softly.",
            ),
        )
    },
)

LETTER = Plot(
    "letter",
    (
        (
            "{[Hero]'s best friend [friend] moved far away.|[Friend], the best friend of [hero], lived far "
            "away behind the mountains.} {[Hero] missed [fhim] every day.|[Hero] often thought of [fhim].}",
        ),
        (
            '[Day], [hero] wrote a letter. "{Dear [friend], I miss you. Please write soon,|Dear [friend], '
            'how are you? Please come and visit me,}" [he] wrote. But {the wind took|a gust of wind took} '
            "the letter out of [his] hand!",
            "It flew over the {fence|wall}, and [hero] ran after it. It flew over the {river|stream}, and "
            "[hero] {jumped from stone to stone|ran across the bridge}. {Then it got stuck in a high "
            "tree.|Then it got stuck in the top of a tree.}",
            '{[Hero] was almost in tears.|"My letter!" cried [hero].} [Wise] {saw it|came along}. "{I will '
            'help you|Let me see}," said [wname], and {brought a long ladder|held the ladder while [hero] '
            "climbed up}.",
            "{The letter was wet and torn, but one could still read it.|The letter was dirty, but it was "
            "whole.} [Hero] {gave it to the postman|sent it off at last}, and then [he] waited. {A day went "
            "by, and a week went by.|[He] looked down the road every morning.}",
        ),
        (
            "Then there was a knock at the door. {It was not a letter.|It was not the postman.} It was "
            "[friend]!",
            '"{I read your letter and came at once|A letter was too slow, so I came myself}," said '
            "[friend]. {They laughed and danced around the room.|They hugged each other for a long time.}",
            "They {ate [food] and talked until midnight|talked all night long}.",
            '{[Hero] learned that true friends are never really far away.|"I am glad that I ran after that '
            'letter," said [hero].|After that, they wrote to each other every week.}',
        ),
    ),
    picks={"food": FOODS},
)

LANTERNS = Plot(
    "lantern night",
    (
        (
            "{Once a year, there was a night of lanterns.|Soon it was the night of lanterns.} Everyone made "
            "a lantern, and [hero] {wanted to have the brightest one|worked on a [colour] lantern for a "
            "week}.",
        ),
        (
            "On the way to {the river|the square}, [he] met [friend] the [fkind]. {[Fhe] had no lantern and "
            'looked sad.|[Fhe] sat by the road without a light.} "{The rain spoiled my lantern|My lantern '
            'fell and broke}," [fhe] said.',
            '[Hero] {looked at [his] [colour] lantern|held [his] lantern tight}. {"Everyone is waiting for '
            'me," [he] thought, and walked on.|"It is late," [he] thought, and went on.} But {the light did '
            "not make [him] happy|after ten steps, [he] stopped}.",
            '[Hero] went back. "{We can carry it together|It is big enough for two}," [he] said. '
            '{[Friend]\'s eyes shone.|"Really?" asked [friend].}',
            "{Then the wind blew, and the lantern went out!|But then a gust of wind came, and the light "
            'went out!} {It was very dark.|They stood in the dark.} "{Wait|I know what to do}," said '
            "[friend]. [Fhe] [help].",
        ),
        (
            "Now the lantern was {brighter than before|the brightest of all}! {They held it up "
            "together.|They walked to the others side by side.}",
            '{Everyone turned around and said, "Ah!"|"How beautiful!" the others said.} A hundred lights '
            "{shone in the dark|danced on the water}, and they sang {an old song|until midnight}.",
            '{[Hero] learned that a light does not get smaller when you share it.|"Next year, we will make '
            'one together," said [hero].|It was the brightest night of the year, and they were the best of '
            "friends.}",
        ),
    ),
    picks={
        "colour": ("red", "blue", "yellow", "green", "golden", "silver"),
        "help": (
            "called the fireflies, and they flew into the lantern",
            "had one last match in [fhis] pocket",
            "ran to a neighbour and came back with a candle",
            "asked the fireflies, and ten of them came",
        ),
    },
)

SLED = Plot(
    "sled",
    (
        (
            "It was {a white winter|the first day of snow}, and all the others had {fast new sleds|shiny "
            'sleds}. [Hero] had {no sled|only an old one without a rope}. {"Then you cannot come with us," '
            "they said.|The others rode down the hill and laughed.}",
        ),
        (
            "[Hero] {wanted to have fun, too|did not give up}. First [he] tried to ride on [bad1], but {it "
            "sank into the snow|it turned over}. Then [he] tried [bad2], but {it went nowhere|it rolled "
            "away without [him]}.",
            '[His] friend [friend] {laughed, but kindly|helped [him] up}. "{Let us build something '
            'better|Two heads are better than one}," [fhe] said. They {looked in the barn|looked behind the '
            "house} and found [good].",
            "They {worked until it was dark|hammered and tied}. {It was a funny sled.|It did not look very "
            'fine.} "{It will never hold|That is not a sled}," said the others. [Hero] and [friend] {sat '
            "down on it|climbed to the top of the hill}.",
        ),
        (
            '"Three, two, one, go!" {Down the hill they flew|They went down like the wind}, {past the trees '
            'and past all the others|over the bump and through the snow}! "Hooray!" they shouted.',
            '{The others stopped and stared.|Nobody had ever seen such a fast sled.} "{May we ride on it, '
            'too|Will you help us to build one like that}?" they asked. {"Yes, of course," said '
            '[hero].|[Hero] smiled. "Come on!" [he] said.}',
            "{They took turns until the moon came up.|Soon all of them sat on the funny sled, one behind "
            "the other.}",
            "{[Hero] learned that a good idea is worth more than a new thing.|Afterwards, they drank hot "
            "cocoa by the fire.|It was the best winter day of all.}",
        ),
    ),
    picks={
        "bad1": ("a pillow", "an old box", "a basket", "a bag of straw"),
        "bad2": ("a barrel", "a big ball", "an old wheel"),
        "good": (
            "an old door and a rope",
            "two long boards and some nails",
            "a broken bench and a rope",
            "a metal tray and some wood",
        ),
    },
)

PLOTS = (FALLEN_STAR, CAGED_BIRD, NEW_BABY, GIANT, LETTER, LANTERNS, SLED)
