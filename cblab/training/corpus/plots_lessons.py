"""Plots about being honest, patient and careful, and about making things."""

from cblab.training.corpus.plot import Plot
from cblab.training.corpus.words import FOODS, FRUITS

BROKEN = Plot(
    "broken thing",
    (
        (
            'In the house of [his] [parent], there was [a vase]. "{Please be careful with it|Do not play '
            'near it}," said [his] [parent].',
        ),
        (
            "[Day], [hero] {played ball inside|ran through the room|danced around the table}. Crash! The "
            "[vase] fell and broke.",
            "{[Hero] was afraid.|[Hero]'s heart beat fast.} [He] hid the pieces [hidden]. \"{Nobody will "
            'know|Nobody saw it}," [he] thought.',
            '"Where is the [vase]?" asked [his] [parent]. "{I do not know|Maybe the wind took it}," said '
            "[hero]. {But [his] face grew red.|It was not true.}",
            "{At dinner, [hero] could not eat.|At night, [hero] could not sleep.} {The lie felt like a "
            "stone in [his] belly.|[He] felt worse and worse.}",
        ),
        (
            '{Then [he] stood up|At last [he] got up} and went to [his] [parent]. "I broke it," [he] said, '
            '"and I {hid the pieces|did not tell the truth}. I am sorry."',
            '[His] [parent] was quiet for a moment. Then [he_p] {hugged [him]|took [his] hand}. "{Thank you '
            'for telling me the truth|That was brave of you}," [he_p] said. "{A thing can be mended|You are '
            'more important than a thing}."',
            "They {glued the pieces together|mended it together}. {It was not perfect, but it was whole "
            "again.|You could see the cracks, but it was whole.}",
            "{[Hero] felt light and happy again.|[Hero] learned that the truth makes the heart light.|After "
            "that, [hero] always told the truth, even when it was hard.}",
        ),
    ),
    picks={
        "vase": (
            "beautiful blue vase",
            "white teapot",
            "tall glass vase",
            "old clock",
            "painted bowl",
            "green lamp",
            "flower pot",
        ),
        "hidden": ("under the bed", "behind the curtain", "in a box", "under a blanket", "in the garden"),
    },
)

GREEDY = Plot(
    "greedy",
    (
        ("[Hero] {loved [sweet] more than any other food|could never get enough [sweet]}.",),
        (
            "[Day], [his] [parent] made {a big plate|a whole basket} of [sweet] for {the party|the whole "
            'family}. "{Please wait until tonight|They are for everyone}," [he_p] said, and went out.',
            '{[Hero] looked at them. They smelled so good!|The smell filled the whole house.} "{Just '
            'one|One will not matter}," [he] said, and ate one. Then [he] ate {two more|another one}, and '
            "another. {Soon the plate was empty.|In the end, there was nothing left.}",
            'Then [his] belly began to hurt. "{Ow|Oh no}!" [he] {cried|said}. [He] lay down and {could not '
            "move|held [his] belly}.",
            "When the guests came, {there was nothing to eat|the plate was empty}. {Everyone was sad.|They "
            "looked at each other.} [Hero] {felt ashamed|was very sorry}.",
        ),
        (
            '"I ate them all," said [hero]. "I am sorry." "{Then you can help me to make new ones|Come, let '
            'us make some more}," said [his] [parent].',
            "They worked in the kitchen {all evening|together}. {[Hero] gave the first one to a guest and "
            "ate none.|This time, [hero] gave one to each guest.}",
            '{It felt better to share than to eat.|"These taste even better," said the guests, and [hero] '
            "smiled.}",
            "{From that day on, [hero] always shared.|[Hero] learned that too much of a good thing is not "
            "good.}",
        ),
    ),
    picks={
        "sweet": ("cookies", "honey cakes", "pancakes", "apple pies", "jam tarts", "berry buns", "sugar buns")
    },
)

PROMISE = Plot(
    "promise",
    (
        (
            '[Wise] {had to go away for a week|went on a journey}. "Will you {look after|take care of} my '
            '[care]?" asked [wname]. "{Yes, I promise|I promise}," said [hero].',
        ),
        (
            "On the first day, [hero] {did everything right|worked well}. On the second day, {it went "
            "well|it was fine}, too.",
            "But on the third day, {friends came to play|the sun was so warm and the lake so blue}, and "
            "[hero] forgot {[his] promise|all about it}. {[He] forgot it on the fourth day, too.|[He] came "
            "home late and fell asleep.}",
            "Then [he] remembered! [He] ran {as fast as [he] could|all the way}. {Oh no!|It was bad.} "
            "[trouble]",
            '"{This is my fault|I forgot my promise}," said [hero]. {Tears came to [his] eyes.|But crying '
            "did not help.} [repair]",
        ),
        (
            'When [wname] came back, [hero] told {the whole truth|everything}. "{I forgot my promise, but I '
            'tried to make it good|I am sorry}," [he] said.',
            '[Wname] looked around. "{Everyone forgets sometimes|I see that you worked hard}," [whe] said. '
            '"{You told me the truth|You made it good again}, and that is what counts."',
            "{After that, [hero] kept every promise.|[Hero] never forgot a promise again.|From then on, "
            "[hero] tied a string around [his] finger when [he] made a promise.}",
        ),
    ),
    rows={
        "care trouble repair": (
            (
                "flowers",
                "The flowers were dry, and their heads hung down.",
                "[He] carried water from the well until the evening, and slowly the flowers lifted their "
                "heads.",
            ),
            (
                "hens",
                "The gate was open, and the hens were gone.",
                "[He] looked behind every bush, found the hens one by one, and brought them all home.",
            ),
            (
                "garden",
                "The weeds were high, and the snails ate the salad.",
                "[He] pulled out the weeds and carried every snail to the meadow.",
            ),
            (
                "sheep",
                "The sheep were in the neighbour's field.",
                "[He] called them, led them home, and mended the fence.",
            ),
            (
                "little tree",
                "The little tree was brown and dry.",
                "[He] gave it water every hour, and on the last day there was one new green leaf.",
            ),
        )
    },
)

SEED = Plot(
    "seed",
    (
        (
            '[Wise] gave [hero] a small seed. "{Plant it and be patient|Put it in the ground and wait}," '
            "said [wname].",
        ),
        (
            "[Hero] planted the seed {in the garden|in a pot by the window|beside the fence} and gave it "
            "water. Then [he] {sat down and waited|looked at the ground}. Nothing happened.",
            'The next day, [he] looked again. Nothing. {"Maybe it is asleep," said [hero], and [he] sang to '
            "it.|[Hero] told the seed a story.} Still nothing.",
            '{"The seed is bad," said [hero]. [He] wanted to dig it up.|After a week, [hero] was angry. "It '
            'does not work!" [he] said.} "{Wait a little longer|Good things take time}," said [wname].',
            "So [hero] waited. [He] gave it water {every morning|every day} and {let the sun shine on "
            "it|pulled out the weeds}. It rained, and the sun came back.",
        ),
        (
            "Then, {one bright morning|at last}, there was a tiny green {leaf|tip}! {It grew and "
            "grew.|Every day it was a little taller.} By the end of summer, it was [plant]!",
            '"{Look|Come and see}!" cried [hero]. [Wname] {smiled|laughed}. "{You waited, and you cared for '
            'it|You were patient}," [whe] said.',
            "[share]",
            "{[Hero] learned that good things need time.|And [hero] kept a seed for the next spring.}",
        ),
    ),
    rows={
        "plant share": (
            (
                "a sunflower, as tall as the house",
                "The birds came to eat its seeds, and there were enough for all.",
            ),
            ("a giant pumpkin", "They made soup from it, and the whole village came to eat."),
            ("a big plant full of red tomatoes", "[Hero] gave a tomato to everyone on the street."),
            (
                "a high bean plant with a hundred beans",
                "They cooked a big pot of beans for all the neighbours.",
            ),
            ("a bush full of sweet strawberries", "[Hero] shared them with all [his] friends."),
            ("a rose bush with white roses", "[Hero] gave the first rose to [his] [parent]."),
        )
    },
)

TOY = Plot(
    "mended toy",
    (
        (
            "[Hero] had a [toy]. {It was old, but [he] loved it.|It was [his] favourite toy.|[He] played "
            "with it every day.}",
        ),
        (
            "[Day], {while [he] was playing|when [he] was playing with [his] friend [friend]}, there was a "
            "loud crack. [damage]",
            '{[Hero] cried.|Big tears ran down [his] face.} {"It is only an old toy," said someone.|"You '
            'can get a new one," said someone.} But [hero] did not want a new one.',
            "[He] tried to mend it with {paper|a string}, but {it came apart again|it did not hold}. [He] "
            "tried it with {honey|mud}, but {that was only sticky|that was a mess}.",
            'Then [he] took it to [wise]. "{Can you mend it|Please, can you help me}?" [he] asked. "{We '
            'will mend it together|Let me show you how}," said [wname].',
        ),
        (
            "They {worked slowly and carefully|worked all afternoon}. [fix]",
            '{The [toy] was as good as new!|Now the [toy] was even better than before!} "{Thank you|Thank '
            'you so much}!" said [hero]. [He] {jumped for joy|held it close}.',
            '{After that, [hero] learned to mend things, too, and helped others with their toys.|"Old '
            'things are worth mending," said [wname], and [hero] never forgot it.|[Hero] learned that you '
            "do not have to throw away what is broken.}",
        ),
    ),
    rows={
        "toy damage fix": (
            (
                "wooden horse",
                "One leg of the horse was broken.",
                "They glued the leg and tied a ribbon around it.",
            ),
            ("toy boat", "The mast of the boat was broken.", "They made a new mast and a new white sail."),
            ("doll", "The arm of the doll came off.", "They sewed the arm on with strong thread."),
            (
                "kite",
                "There was a big hole in the kite.",
                "They put a patch on the hole, in the shape of a star.",
            ),
            ("toy train", "A wheel of the train came off.", "They carved a new wheel and painted it red."),
            (
                "drum",
                "The skin of the drum was torn.",
                "They put a new skin on the drum and pulled it tight.",
            ),
            (
                "music box",
                "The music box made no sound any more.",
                "They cleaned every little wheel, and the song came back.",
            ),
            (
                "teddy bear",
                "One ear of the teddy bear was torn off.",
                "They sewed the ear back on, and it was softer than before.",
            ),
        )
    },
)

RAINY_DAY = Plot(
    "rainy day",
    (
        (
            "[Hero] wanted to {go to [place]|have a picnic|play outside} with [his] friend [friend]. {[He] "
            "was so happy about it.|[He] woke up early.}",
        ),
        (
            "But {when [he] looked out of the window|that morning}, it was raining. {It rained and "
            'rained.|Big drops ran down the glass.} "{This day is spoiled|Now we cannot go}," said [hero].',
            "[Friend] came in with wet feet. {They tried a game, but it was boring.|They looked at the rain "
            "and sighed.} {They drew on the window, but soon it was full.|They counted drops, but soon they "
            "were tired of it.}",
            'Then [hero] saw [stuff] in the corner. "I have an idea!" [he] said. "{Let us make|We can '
            'build} [a build]!"',
            "{They worked and laughed.|They cut and tied and painted.} {[Hero]'s [parent] gave them an old "
            "blanket and some string.|[Friend] held everything, and [hero] tied it together.}",
        ),
        (
            'Soon it was ready. "[call]" {shouted|cried} {[hero]|[friend]}. [game]',
            "{When the rain stopped, they did not even see it.|The sun came out, but they played on.} "
            '"{This was the best rainy day ever|I hope it rains tomorrow, too}," said [friend].',
            "{[Hero] learned that you can make your own sunshine.|They laughed and shared [food].}",
        ),
    ),
    picks={
        "stuff": (
            "some big boxes",
            "a pile of old boxes",
            "two chairs and a box",
            "some wood and some boxes",
        ),
        "food": FOODS,
    },
    rows={
        "build call game": (
            (
                "ship",
                "All aboard!",
                "They sailed over the floor to a far island and found a treasure of cookies.",
            ),
            (
                "castle",
                "Open the gate!",
                "[Hero] was the guard, [friend] was the dragon, and then they changed places.",
            ),
            (
                "rocket",
                "Three, two, one, go!",
                "They flew to the moon, walked on it with slow steps, and flew home again.",
            ),
            (
                "train",
                "All aboard!",
                "It went to the mountains and to the sea, and it stopped wherever they wanted.",
            ),
            ("tent", "Come in!", "They sat inside with a lamp and told each other stories about bears."),
            ("shop", "We are open!", "They sold buttons for leaves and leaves for buttons."),
        )
    },
)

CAKE = Plot(
    "cake",
    (
        (
            "{Soon it was the birthday of [his] [parent].|Tomorrow was the birthday of [his] [parent].} "
            "[Hero] wanted to bake {a cake|a big cake}, all by [himself].",
        ),
        (
            "[Day], [he] began. {But when [he] looked on the shelf, there was no [miss1] and no "
            '[miss2].|But there was no [miss1] in the house, and no [miss2].} {"What now?" said '
            '[hero].|"How can I bake a cake?" [he] asked.}',
            '[He] went to [his] friend [friend] and asked for [miss1]. "{Of course|Here you are}," said '
            '[friend], "{if I can help you|and I will help you}." Then they went to [wise] and asked for '
            '[miss2]. "{Take it|Gladly}," said [wname].',
            "They {mixed and stirred|stirred with a big spoon}. {There was flour on their noses.|There was "
            "flour everywhere.} But {the first cake was burnt and black|the first cake fell to the floor}. "
            '{"Oh no!" they cried.|[Hero] almost cried.}',
            '"{Let us try again|We have enough for one more}," said [friend]. This time, they {watched the '
            "oven|were very careful}.",
        ),
        (
            "{The second cake was round and golden.|This time the cake was perfect.} They put [fruit] on "
            "top.",
            '"{Happy birthday|Surprise}!" they shouted. [His] [parent] {was so happy|clapped [his_p] '
            'hands}. "{Did you make this|Is that for me}?" [he_p] asked. "{We all made it together|My '
            'friends helped me}," said [hero].',
            "{Everyone got a big piece, and nothing was left.|They all sat down and ate until the plate was "
            "empty.}",
            '{[Hero] learned that it is all right to ask for help.|"A cake made by friends tastes best," '
            "said [his] [parent].}",
        ),
    ),
    picks={
        "miss1": ("flour", "milk", "butter"),
        "miss2": ("sugar", "honey", "salt"),
        "fruit": FRUITS,
    },
)

SNOW = Plot(
    "snow",
    (
        (
            "It was winter, and {everything was white|the snow was deep}. [Hero] had a warm [colour] "
            "[cloth] {that [his] [parent] made for [him]|and was proud of it}.",
        ),
        (
            "{One cold day|One snowy morning|On the coldest day}, [he] {built a snowman|played in the "
            "snow}. Then [he] saw a [cold] {under a bush|by the fence}. It was {shaking with cold|so cold "
            "that it could not move}.",
            '"{Fly home|Go home}," said [hero], but the [cold] {only looked at [him]|was too weak}. [Hero] '
            "blew on it with [his] warm breath, but {that was not enough|the wind was too strong}.",
            '[Hero] looked at [his] [colour] [cloth]. {It was so warm and soft.|"Then I will be cold," [he] '
            "thought.} But [he] took it off and wrapped the [cold] in it.",
            '[He] ran home {through the snow|as fast as [he] could}. "{You are as cold as ice,|Where is '
            'your [cloth]?}" said [his] [parent]. [Hero] showed what was in it.',
        ),
        (
            "They put the [cold] {in a box by the fire|near the warm oven} and gave it {warm milk to "
            "drink|crumbs of bread to eat}. {Soon it opened its eyes.|By evening, it could stand again.}",
            "{It stayed with them until spring, and every morning it came to say hello.|In spring, they "
            "opened the window and let it go, but it often came back to visit them.}",
            "{[Hero]'s [parent] washed the [cloth], and it was as warm as before.|\"You gave away your "
            'warmth and got it back," said [his] [parent].}',
            "{[Hero] knew that a kind heart keeps you warm.|It was the best winter that [hero] could "
            "remember.}",
        ),
    ),
    picks={
        "colour": ("red", "blue", "yellow", "green", "purple", "white"),
        "cloth": ("scarf", "hat", "coat", "jacket"),
        "cold": ("little bird", "small kitten", "tiny rabbit", "little squirrel"),
    },
)

MOON = Plot(
    "moon wish",
    (
        (
            "{Every night, [hero] looked up at the moon.|[Hero] loved the moon more than all the stars.} "
            '"{I want to hold the moon|I want to touch the moon, just once}," [he] said.',
        ),
        (
            '[friend_intro] "{Let us try|I will help you}," said [friend].',
            "First they climbed {a tall tree|the highest hill}, but the moon was {still far away|much too "
            "high}. Then they {stood on a tall ladder|jumped as high as they could}, but {they could not "
            "reach it|they only fell into the grass}.",
            "{They threw a rope, but it came down again.|They asked the wind to carry them, but the wind "
            'was asleep.} "{It is no use|We will never reach it}," said [hero], and {[he] sat down by the '
            "pond|[he] was sad}.",
            '{Then [friend] looked into the pond.|Then [friend] pointed at the water.} "Look!" [fhe] said. '
            "{There was the moon, round and bright, in the water.|The moon was swimming in the pond!}",
        ),
        (
            "[Hero] put [his] hands into the water, and {the moon danced between [his] fingers|for a moment "
            "[he] held the moon}.",
            '{"It came down to visit us," said [hero].|"I touched it!" cried [hero].} {They sat there for a '
            "long time and did not speak.|They stayed until the owl called good night.}",
            "{[Hero] learned that some wishes come true in another way.|After that, [hero] said good night "
            "to the moon in the pond every evening.|And the moon shone on two good friends all the way "
            "home.}",
        ),
    ),
    rows={
        "friend_intro": (
            ("[Hero] told [his] friend [friend] about it.",),
            ("[Hero] had a friend, [a fkind] named [friend].",),
        )
    },
)

BRIDGE = Plot(
    "bridge",
    (
        (
            "The home of [hero] was on one side of the river, and the home of [his] friend [friend] was on "
            "the other side. {Every day, they met on the old bridge.|A small bridge was between them.}",
        ),
        (
            "[Day], {after a night of rain|after a storm}, the bridge was gone. {The river carried it "
            'away.|The water was high and wild.} [Friend] stood on the other side and waved. "{How can I '
            'come to you|What shall we do}?" {called [hero]|[fhe] called}.',
            "[Hero] threw {a big stone into the water, but the river rolled it away|stones into the water, "
            "but they sank out of sight}. Then [he] {put a thin branch over the water, but it broke|tried "
            "to jump, but the river was too wide}.",
            '{[Hero] went to [wise] for advice.|Then [wise] came along.} "{Two can build what one '
            'cannot|You must build from both sides}," said [wname].',
            "So [hero] worked on one side, and [friend] worked on the other. They {threw a rope "
            "across|pulled long logs into place}, and {many neighbours came to help|they tied log to log}.",
        ),
        (
            "{After five days|After a week|At last}, the two sides met in the middle. {[Hero] and [friend] "
            "shook hands there.|There [hero] and [friend] hugged each other.}",
            "The new bridge was {wide and strong|even better than the old one}. {Everyone walked over it "
            "and cheered.|They had a party on it, with [food] for all.}",
            '{No flood could take it away.|"A bridge is built from both sides, like a friendship," said '
            "[wname].|And in the middle they put a bench for two.}",
        ),
    ),
    picks={"food": FOODS},
)

GARDEN = Plot(
    "dry summer",
    (
        (
            "{It was a hot summer, and it did not rain for weeks.|One summer, it was very hot, and no rain "
            "fell.} {The flowers hung their heads.|The grass was yellow.}",
        ),
        (
            '[Hero] had a {small well|barrel of water}, and [he] {guarded it|kept it for [himself]}. "{This '
            'is my water|I need all of this water}," [he] said.',
            '[Friend] the [fkind] came. "{I am so thirsty|My garden is dying}," [fhe] said. "{Please give '
            'me a little water.|May I have one cup?}" "{No|I have only a little}," said [hero], and '
            "[friend] went away sadly.",
            "{That night, [hero] could not sleep.|In the night, [hero] lay awake.} {[He] thought of "
            '[friend] and the dry garden.|[He] still saw the sad face of [friend].} "{I was not kind|What '
            'is water good for, if I am alone}," [he] thought.',
            'In the morning, [hero] filled a bucket and {carried it to [friend]|ran to [friend]}. "I am '
            'sorry," [he] said. "{Take this|We will share}." Then [he] {gave water to the flowers and the '
            "birds|called all the neighbours}, too.",
        ),
        (
            "By noon, {the water was gone|the last drop was gone}. {But nobody was angry, and nobody was "
            "alone.|But then a cloud came over the hill.} {Then it began to rain!|And then, plip, plop, it "
            "rained!}",
            "They {danced in the rain|held up their faces and laughed}. {Soon everything was green "
            "again.|The flowers lifted their heads.}",
            '{[Hero] never said "mine" so quickly again.|[Hero] learned that what you share comes back to '
            "you.|After that, the well was open for everyone.}",
        ),
    ),
)

PLOTS = (BROKEN, GREEDY, PROMISE, SEED, TOY, RAINY_DAY, CAKE, SNOW, MOON, BRIDGE, GARDEN)
