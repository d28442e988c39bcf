"""Plots about friends: quarrels, newcomers, sharing, gifts and helping."""

from cblab.training.corpus.plot import Plot
from cblab.training.corpus.words import FOODS, FRUITS

QUARREL = Plot(
    "quarrel",
    (
        (
            "[Hero]'s best friend was [a fkind] named [friend]. {They played together every day.|They did "
            "everything together.}",
        ),
        (
            '[Day], they found [a treasure] {on the path|in the grass|near the river}. "It is mine!" said '
            '[hero]. "No, it is mine!" said [friend].',
            "[Hero] pulled, and [friend] pulled. {They shouted at each other.|They both grew angry.} {Then "
            "the [treasure] fell into the mud.|Then, splash, the [treasure] fell into a puddle.}",
            "{[Hero] went home, and [friend] went home, too.|They turned around and walked away.} {But it "
            "was no fun to play alone.|[Hero] sat alone and felt bad.|[Hero] was not angry any more, only "
            "sad.}",
            '?{"A friend is worth more than a thing," said [his] [parent].|[His] [parent] said, "Why do you '
            'not talk to [friend]?"}',
        ),
        (
            '{The next day|In the evening|The next morning}, [hero] went to [friend]. "I am sorry," [he] '
            'said. "I am sorry, too," said [friend].',
            'They {washed the [treasure]|cleaned the [treasure]} together. "{You can have it today, and I '
            'can have it tomorrow|Let us share it}," said {[hero]|[friend]}.',
            "{So they took turns, and both were happy.|They shared it, and that was much more fun.}",
            "{They never quarrelled about a thing again.|[Hero] and [friend] learned that sharing is better "
            "than winning.|After that, they were better friends than before.}",
        ),
    ),
)

NEWCOMER = Plot(
    "newcomer",
    (
        ("[Hero] {had many friends|knew everyone there|loved to play with the others}.",),
        (
            "[Day], a new [fkind] came to live there. {[Fhis] name was [friend].|The new [fkind] was called "
            "[friend].}",
            "[Friend] was {very shy|quiet and shy}. [Fhe] {stood alone under a tree|sat alone by the wall} "
            "and {did not say a word|looked at the ground}.",
            '{"[Fhe] does not like us," said the others.|"[Fhe] never talks," said the others.|The others '
            'did not ask [fhim] to play.} But [hero] thought, "{Maybe [fhe] is only afraid|Maybe [fhe] is '
            'lonely}."',
            '[Hero] {walked over|went to [fhim]} and said, "Hello! {Do you want to play with me|Would you '
            'like to play}?" {[Friend] only shook [fhis] head.|[Friend] did not answer.}',
            "{The next day, [hero] came back with some [fruit].|So [hero] sat down beside [fhim] and shared "
            'some [fruit].} {[Friend] smiled a small smile.|"Thank you," said [friend] very softly.}',
        ),
        (
            "Then [friend] showed [hero] [fhis] secret: [fhe] could [skill]!",
            '"{That is wonderful|You are so good at that}!" said [hero]. "{Can you teach me?|Please show it '
            'to the others!}"',
            "{Soon everyone came to watch, and they all cheered.|Soon all the others wanted to learn it, "
            "too.}",
            "{[Friend] was not lonely any more, and [hero] had a new best friend.|From that day on, "
            "[friend] was never alone.|[Hero] was glad that [he] had said hello.}",
        ),
    ),
    picks={
        "fruit": FRUITS,
        "skill": (
            "juggle three stones",
            "whistle like a bird",
            "walk on two sticks",
            "draw beautiful pictures",
            "tell the funniest stories",
            "make boats out of leaves",
            "stand on [fhis] head",
            "play the flute",
            "do tricks with a rope",
        ),
    },
)

GIFT = Plot(
    "birthday gift",
    (
        (
            "{Tomorrow was|It was almost|Soon it would be} the birthday of [his] friend [friend], and "
            "[hero] wanted to give [fhim] {a nice gift|something special}.",
        ),
        (
            "[Hero] went to the shop. There was [a treasure] in the window, but {it cost too much|[he] had "
            "no money}.",
            '{"What can I give?" [he] asked.|[Hero] was sad.} "{A gift does not have to cost money|The best '
            'gifts are made with love}," said [his] [parent].',
            "[Hero] thought {about it all evening|hard}. Then [he] had an idea! [He] took [stuff] and began "
            "to work.",
            "{It was not easy.|It took a long time.} {The first one broke, but [hero] tried again.|Twice it "
            "went wrong, but [he] did not give up.}",
        ),
        (
            '{The next day|At the party|On the birthday}, [hero] gave [friend] [a gift]. {"I made it for '
            'you," [he] said.|"It is only a small thing," [he] said.}',
            '[Friend] {looked at it for a long time|opened [fhis] eyes wide}. "{This is the best gift of '
            'all|Nobody ever made something for me before}," [fhe] said.',
            "{They hugged, and then they ate cake.|Everyone wanted to see the [gift].}",
            "{[Hero] learned that a gift from the heart is the best gift.|[Friend] kept the [gift] for many "
            "years.|And [hero] was even happier than [friend].}",
        ),
    ),
    rows={
        "stuff gift": (
            ("paper and a needle and thread", "little book of stories"),
            ("some wood and a small knife", "wooden bird"),
            ("shells and a string", "necklace of shells"),
            ("old cloth and buttons", "soft puppet"),
            ("clay from the river", "clay cup"),
            ("paper and paint", "picture of the two friends"),
            ("flowers and grass", "crown of flowers"),
            ("warm wool", "striped scarf"),
            ("nuts and leaves", "little nut boat"),
        )
    },
)

SICK_FRIEND = Plot(
    "sick friend",
    (
        ("Every {morning|day|afternoon}, [hero] played with [his] friend [friend] near [place].",),
        (
            '[Day], [friend] did not come. [Hero] {waited and waited|waited a long time}. "{Where is '
            '[friend]|Why does [fhe] not come}?" [he] wondered.',
            "[He] went to [friend]'s {house|home} and knocked. [Friend] was in bed with {a bad cold|a sore "
            'throat|a fever}. "{I feel so weak|I cannot play today}," [fhe] said.',
            '{[Hero] wanted to help.|"I will make you feel better," said [hero].} First [he] told a joke, '
            "but [friend] {was too tired to laugh|only coughed}. Then [he] sang a song, but [friend] {had a "
            "headache|fell asleep}.",
            "So [hero] ran home. [His] [parent] helped [him] to make [food].",
        ),
        (
            "[Hero] carried it to [friend] {very carefully|step by step}. [Friend] ate {all of it|it "
            "slowly}, and {[fhis] face was warm again|[fhe] smiled for the first time}.",
            "{Every day, [hero] came back and read a story.|The next day, [hero] came again, and the day "
            "after, too.}",
            "{After three days|After a few days|Soon} [friend] was well, and they {ran|went} to [place] "
            "together.",
            '{"You are the best medicine," said [friend].|"A good friend helps more than medicine," said '
            "[friend].}",
        ),
    ),
    picks={"food": ("warm soup", "carrot soup", "potato soup", "chicken soup", "a pot of vegetable soup")},
)

SHARED_LUNCH = Plot(
    "shared lunch",
    (
        ("{[Hero] was always hungry at noon.|For lunch, [hero] always had something good.}",),
        (
            '[Day], [hero] went to [place] with a big basket of [fruit]. {"All for me!" [he] said.|[He] '
            "wanted to eat them all.}",
            '{On the way|There}, [he] met [a fkind] named [friend]. "{I am so hungry|I have nothing to '
            'eat}," said [friend].',
            '[Hero] looked at [his] basket. {"If I share, I will have less," [he] thought.|[He] held it '
            "tight and walked on.} {But [friend] looked so sad.|But [he] could not forget the sad face of "
            "[friend].}",
            'So [hero] {turned around|stopped} and said, "{Here, take half|Let us eat together}."',
        ),
        (
            "They sat in the grass and ate the [fruit]. {They talked and laughed|They told each other "
            "stories} until the basket was empty.",
            "{A few days later|The next week}, [hero] {fell into a ditch|was lost in the rain|was stuck in "
            "the mud}. {And who came to help? It was [friend]!|Nobody was near. But then [friend] came by "
            "and helped [him]!}",
            '"{You helped me, and now I help you|You shared with me when I was hungry}," said [friend].',
            '{[Hero] learned that kindness always comes back.|From then on, they shared every lunch.|"Food '
            'tastes better with a friend," said [hero].}',
        ),
    ),
    picks={"fruit": FRUITS},
)

STUCK = Plot(
    "stuck",
    (
        ("[Hero] {was not very big, but [he] never gave up|liked to help others|was always ready to help}.",),
        (
            '[Day], [he] heard a cry: "Help! Help!" {It came from|Someone was shouting near} [place].',
            "[Hero] ran there and saw [friend] the [fkind]. [Fhe] was stuck [stuckin] and could not {get "
            "out|move}.",
            "[Hero] pulled [fhis] {hand|arm}, but {it did not work|[friend] did not move}. [He] pushed from "
            "behind, but {that did not work either|it was no use}.",
            '{"I am not strong enough alone," said [hero].|"Wait here," said [hero]. "I will get help."} '
            "[He] called [helper1] and [helper2].",
        ),
        (
            'They {brought a long rope|took a strong rope}. "One, two, three, pull!" shouted [hero]. They '
            "all pulled together. {Pop!|Plop!} [Friend] was free!",
            '{They all fell down and laughed.|They tumbled into the grass in a big heap.} "Thank you, thank '
            'you!" said [friend].',
            "{In the evening, they all ate [food] together.|[Friend] gave each of them a big hug.}",
            '{[Hero] learned that many friends can do what one cannot.|"Together we are strong," said '
            "[hero].|After that, everyone called them the best team.}",
        ),
    ),
    picks={
        "stuckin": (
            "in the deep mud",
            "in a hollow log",
            "in a narrow hole",
            "between two rocks",
            "in a thick bush",
        ),
        "helper1": ("the rabbit", "the goat", "the duck", "the dog", "the sheep"),
        "helper2": ("the horse", "the pig", "the mole", "the cow", "the donkey"),
        "food": FOODS,
    },
)

STORM_GUEST = Plot(
    "storm guest",
    (
        (
            "{It was a grey week in autumn.|The days were short and cold.|All week, dark clouds came from "
            "the sea.} [Hero] {made the house warm|had a warm room and a soft bed}.",
        ),
        (
            "{One evening|One night}, a great storm came. The wind {howled|roared}, and the rain fell "
            "{hard|like a river}.",
            "Then there was a knock at the door. It was [friend] the [fkind], {wet and cold|shaking with "
            'cold}. "The storm {blew my roof away|broke my house}," [fhe] said.',
            "{[Hero]'s bed was small, and there was only a little food.|There was not much room.} {But "
            '[hero] did not think twice.|But [hero] opened the door wide.} "Come in," [he] said. "{Sit by '
            'the fire|There is room for two}."',
            "They {shared the food|ate [food]} and {told stories|sang songs} while the storm {shook the "
            "windows|raged outside}.",
        ),
        (
            'In the morning, the {sun was shining|sky was blue again}. "{I have no home now,|What shall I '
            'do?}" said [friend] sadly.',
            '"We will build a new one," said [hero]. {All their friends came to help.|Many neighbours came '
            "with wood and nails.} They worked {for three days|all week}.",
            "The new house was {strong and dry|better than the old one}, and it {stood right beside|was "
            "close to} [hero]'s home.",
            "{So the storm gave [hero] a neighbour and a friend.|After that, no storm could scare the two "
            "friends.|[Friend] never forgot how [hero] opened the door that night.}",
        ),
    ),
    picks={"food": FOODS},
)

PLOTS = (QUARREL, NEWCOMER, GIFT, SICK_FRIEND, SHARED_LUNCH, STUCK, STORM_GUEST)
