"""Tables of facts that do not change: countries, animals, colours, the calendar, opposites, shapes."""

# The formatter would put every word on its own line; packed tables are easier to read.
# fmt: off

# country (as in a sentence), capital, continent, language ("" where one word would not be the whole truth)
COUNTRIES = (
    ("France", "Paris", "Europe", "French"), ("Germany", "Berlin", "Europe", "German"),
    ("Italy", "Rome", "Europe", "Italian"), ("Spain", "Madrid", "Europe", "Spanish"),
    ("Portugal", "Lisbon", "Europe", "Portuguese"), ("England", "London", "Europe", "English"),
    ("Scotland", "Edinburgh", "Europe", ""), ("Wales", "Cardiff", "Europe", ""),
    ("Ireland", "Dublin", "Europe", ""), ("Belgium", "Brussels", "Europe", ""),
    ("the Netherlands", "Amsterdam", "Europe", "Dutch"), ("Switzerland", "Bern", "Europe", ""),
    ("Austria", "Vienna", "Europe", "German"), ("Poland", "Warsaw", "Europe", "Polish"),
    ("Hungary", "Budapest", "Europe", "Hungarian"), ("Romania", "Bucharest", "Europe", "Romanian"),
    ("Bulgaria", "Sofia", "Europe", "Bulgarian"), ("Greece", "Athens", "Europe", "Greek"),
    ("Sweden", "Stockholm", "Europe", "Swedish"), ("Norway", "Oslo", "Europe", "Norwegian"),
    ("Denmark", "Copenhagen", "Europe", "Danish"), ("Finland", "Helsinki", "Europe", "Finnish"),
    ("Iceland", "Reykjavik", "Europe", "Icelandic"), ("Estonia", "Tallinn", "Europe", "Estonian"),
    ("Latvia", "Riga", "Europe", "Latvian"), ("Lithuania", "Vilnius", "Europe", "Lithuanian"),
    ("Ukraine", "Kyiv", "Europe", "Ukrainian"), ("Russia", "Moscow", "", "Russian"),
    ("Croatia", "Zagreb", "Europe", "Croatian"), ("Serbia", "Belgrade", "Europe", "Serbian"),
    ("Slovenia", "Ljubljana", "Europe", "Slovenian"), ("Slovakia", "Bratislava", "Europe", "Slovak"),
    ("Albania", "Tirana", "Europe", "Albanian"), ("Malta", "Valletta", "Europe", ""),
    ("Turkey", "Ankara", "", "Turkish"), ("China", "Beijing", "Asia", "Chinese"),
    ("Japan", "Tokyo", "Asia", "Japanese"), ("South Korea", "Seoul", "Asia", "Korean"),
    ("India", "New Delhi", "Asia", ""), ("Nepal", "Kathmandu", "Asia", "Nepali"),
    ("Thailand", "Bangkok", "Asia", "Thai"), ("Vietnam", "Hanoi", "Asia", "Vietnamese"),
    ("Mongolia", "Ulaanbaatar", "Asia", "Mongolian"), ("the Philippines", "Manila", "Asia", ""),
    ("Iran", "Tehran", "Asia", "Persian"), ("Iraq", "Baghdad", "Asia", ""),
    ("Jordan", "Amman", "Asia", "Arabic"), ("Lebanon", "Beirut", "Asia", "Arabic"),
    ("Saudi Arabia", "Riyadh", "Asia", "Arabic"), ("Pakistan", "Islamabad", "Asia", ""),
    ("Bangladesh", "Dhaka", "Asia", "Bengali"), ("Egypt", "Cairo", "Africa", "Arabic"),
    ("Morocco", "Rabat", "Africa", ""), ("Tunisia", "Tunis", "Africa", "Arabic"),
    ("Kenya", "Nairobi", "Africa", ""), ("Ethiopia", "Addis Ababa", "Africa", ""),
    ("Ghana", "Accra", "Africa", "English"), ("Nigeria", "Abuja", "Africa", "English"),
    ("Senegal", "Dakar", "Africa", ""), ("Uganda", "Kampala", "Africa", ""),
    ("Canada", "Ottawa", "North America", ""),
    ("the United States", "Washington", "North America", "English"),
    ("Mexico", "Mexico City", "North America", "Spanish"), ("Cuba", "Havana", "North America", "Spanish"),
    ("Jamaica", "Kingston", "North America", "English"),
    ("Brazil", "Brasilia", "South America", "Portuguese"),
    ("Argentina", "Buenos Aires", "South America", "Spanish"),
    ("Chile", "Santiago", "South America", "Spanish"), ("Peru", "Lima", "South America", ""),
    ("Colombia", "Bogota", "South America", "Spanish"), ("Ecuador", "Quito", "South America", "Spanish"),
    ("Uruguay", "Montevideo", "South America", "Spanish"), ("Australia", "Canberra", "", "English"),
    ("New Zealand", "Wellington", "", ""),
)

# animal, its sound
SOUNDS = (
    ("cow", "moo"), ("dog", "woof"), ("cat", "meow"), ("duck", "quack"), ("sheep", "baa"), ("pig", "oink"),
    ("horse", "neigh"), ("hen", "cluck"), ("rooster", "cock-a-doodle-doo"), ("frog", "ribbit"),
    ("owl", "hoo hoo"), ("mouse", "squeak"), ("bee", "buzz"), ("snake", "hiss"), ("lion", "roar"),
    ("donkey", "hee-haw"), ("crow", "caw"), ("goose", "honk"), ("dove", "coo"), ("chick", "peep"),
    ("turkey", "gobble"), ("bird", "tweet"),
)

# animal, its young
YOUNG = (
    ("cow", "calf"), ("dog", "puppy"), ("cat", "kitten"), ("duck", "duckling"), ("sheep", "lamb"),
    ("pig", "piglet"), ("horse", "foal"), ("hen", "chick"), ("frog", "tadpole"), ("lion", "cub"),
    ("bear", "cub"), ("goat", "kid"), ("deer", "fawn"), ("goose", "gosling"), ("swan", "cygnet"),
    ("kangaroo", "joey"), ("elephant", "calf"), ("owl", "owlet"), ("rabbit", "kit"), ("wolf", "pup"),
    ("butterfly", "caterpillar"),
)

# animal, where it lives (with its preposition)
HOMES = (
    ("bird", "in a nest"), ("bee", "in a hive"), ("fox", "in a den"), ("rabbit", "in a burrow"),
    ("spider", "in a web"), ("horse", "in a stable"), ("pig", "in a sty"), ("fish", "in the water"),
    ("whale", "in the sea"), ("camel", "in the desert"), ("polar bear", "in the Arctic"),
    ("mole", "under the ground"), ("beaver", "in a lodge"), ("ant", "in an anthill"),
    ("squirrel", "in a tree"), ("dolphin", "in the sea"), ("frog", "near a pond"),
    ("kangaroo", "in Australia"), ("panda", "in China"), ("octopus", "in the sea"), ("hen", "in a coop"),
    ("bear", "in a cave"), ("shark", "in the sea"), ("crab", "by the sea"),
)

# animal, number of legs in words
LEGS = (
    ("dog", "four"), ("cat", "four"), ("cow", "four"), ("horse", "four"), ("sheep", "four"),
    ("elephant", "four"), ("lion", "four"), ("mouse", "four"), ("rabbit", "four"), ("frog", "four"),
    ("bird", "two"), ("duck", "two"), ("hen", "two"), ("owl", "two"), ("ant", "six"), ("bee", "six"),
    ("fly", "six"), ("butterfly", "six"), ("beetle", "six"), ("spider", "eight"), ("snake", "no"),
    ("fish", "no"), ("worm", "no"),
)

# animal, what it likes to eat
DIETS = (
    ("cow", "grass"), ("rabbit", "carrots"), ("monkey", "bananas"), ("panda", "bamboo"), ("squirrel", "nuts"),
    ("mouse", "cheese"), ("horse", "hay"), ("bear", "honey"), ("cat", "fish"), ("dog", "bones"),
    ("frog", "flies"), ("hen", "corn"), ("sheep", "grass"), ("penguin", "fish"), ("caterpillar", "leaves"),
    ("giraffe", "leaves"),
)

# animal, its class
KINDS = (
    ("dog", "mammal"), ("cat", "mammal"), ("cow", "mammal"), ("whale", "mammal"), ("bat", "mammal"),
    ("elephant", "mammal"), ("lion", "mammal"), ("dolphin", "mammal"), ("horse", "mammal"), ("owl", "bird"),
    ("duck", "bird"), ("penguin", "bird"), ("eagle", "bird"), ("hen", "bird"), ("ant", "insect"),
    ("bee", "insect"), ("butterfly", "insect"), ("fly", "insect"), ("beetle", "insect"), ("shark", "fish"),
    ("salmon", "fish"), ("trout", "fish"), ("snake", "reptile"), ("lizard", "reptile"), ("turtle", "reptile"),
    ("crocodile", "reptile"), ("frog", "amphibian"), ("toad", "amphibian"),
)

# thing (with its verb), colour
COLOURS = (
    ("the sky", "is", "blue"), ("grass", "is", "green"), ("snow", "is", "white"), ("blood", "is", "red"),
    ("the sun", "is", "yellow"), ("a lemon", "is", "yellow"), ("a banana", "is", "yellow"),
    ("a carrot", "is", "orange"), ("a pumpkin", "is", "orange"), ("coal", "is", "black"),
    ("milk", "is", "white"), ("chocolate", "is", "brown"), ("a strawberry", "is", "red"),
    ("a tomato", "is", "red"), ("a cucumber", "is", "green"), ("the sea", "is", "blue"),
    ("a frog", "is", "green"), ("a crow", "is", "black"), ("a polar bear", "is", "white"),
    ("an elephant", "is", "grey"), ("a flamingo", "is", "pink"), ("a fire engine", "is", "red"),
    ("salt", "is", "white"), ("gold", "is", "yellow"), ("the night", "is", "black"),
    ("a leaf", "is", "green"), ("an orange", "is", "orange"), ("a cherry", "is", "red"),
    ("a swan", "is", "white"), ("spinach", "is", "green"), ("a lime", "is", "green"),
    ("rain clouds", "are", "grey"), ("violets", "are", "purple"), ("plums", "are", "purple"),
    ("peas", "are", "green"), ("clouds", "are", "white"), ("sunflowers", "are", "yellow"),
    ("bones", "are", "white"),
)
MIXED_COLOURS = (
    ("blue", "yellow", "green"), ("red", "yellow", "orange"), ("red", "blue", "purple"),
    ("black", "white", "grey"), ("red", "white", "pink"),
)

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)
SEASONS = ("spring", "summer", "autumn", "winter")
SEASON_FACTS = (
    ("spring", "the first flowers come out"), ("spring", "the birds build their nests"),
    ("summer", "the days grow hot"), ("summer", "people swim in the lakes"),
    ("autumn", "the leaves fall from the trees"), ("autumn", "the apples grow ripe"),
    ("winter", "the lakes freeze"), ("winter", "children make snowmen"),
)

OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("up", "down"), ("day", "night"), ("fast", "slow"), ("happy", "sad"),
    ("open", "closed"), ("old", "young"), ("wet", "dry"), ("light", "dark"), ("high", "low"),
    ("full", "empty"), ("left", "right"), ("hard", "soft"), ("loud", "quiet"), ("rich", "poor"),
    ("strong", "weak"), ("long", "short"), ("good", "bad"), ("black", "white"), ("near", "far"),
    ("early", "late"), ("clean", "dirty"), ("thick", "thin"), ("true", "false"), ("in", "out"),
    ("over", "under"), ("inside", "outside"), ("first", "last"), ("sweet", "sour"), ("wide", "narrow"),
    ("deep", "shallow"), ("always", "never"), ("more", "less"), ("begin", "end"), ("push", "pull"),
    ("win", "lose"), ("love", "hate"), ("yes", "no"), ("brave", "afraid"),
)

# what, how many of them, whole
COUNTS = (
    ("days", "seven", "a week"), ("months", "twelve", "a year"), ("hours", "twenty-four", "a day"),
    ("minutes", "sixty", "an hour"), ("seconds", "sixty", "a minute"), ("seasons", "four", "a year"),
    ("letters", "twenty-six", "the English alphabet"), ("players", "eleven", "a football team"),
    ("years", "ten", "a decade"), ("years", "one hundred", "a century"), ("eggs", "twelve", "a dozen"),
    ("colours", "seven", "the rainbow"), ("cents", "one hundred", "a euro"),
)
BODY_COUNTS = (
    ("fingers", "ten"), ("toes", "ten"), ("eyes", "two"), ("ears", "two"), ("hands", "two"), ("feet", "two"),
    ("arms", "two"), ("legs", "two"), ("knees", "two"),
)
SHAPES = (
    ("triangle", "three"), ("square", "four"), ("rectangle", "four"), ("pentagon", "five"),
    ("hexagon", "six"), ("octagon", "eight"),
)
FORMS = (
    ("a ball", "a sphere"), ("a coin", "a circle"), ("a plate", "a circle"), ("a die", "a cube"),
    ("an egg", "an oval"), ("a ring", "a circle"), ("a door", "a rectangle"), ("a book", "a rectangle"),
    ("a wheel", "a circle"), ("an orange", "a sphere"), ("an ice cube", "a cube"),
)
SENSES = (("see", "eyes"), ("hear", "ears"), ("smell", "nose"), ("taste", "tongue"), ("touch", "hands"))

# person, what the person does
JOBS = (
    ("a baker", "bakes bread"), ("a teacher", "teaches children"), ("a doctor", "helps sick people"),
    ("a farmer", "grows food"), ("a pilot", "flies a plane"), ("a sailor", "sails on a ship"),
    ("a cook", "makes food"), ("a painter", "paints pictures"), ("a shepherd", "looks after sheep"),
    ("a fisherman", "catches fish"), ("a tailor", "makes clothes"), ("a gardener", "looks after plants"),
    ("a writer", "writes books"), ("a carpenter", "makes things out of wood"), ("a singer", "sings songs"),
)
# what we do, with what
TOOLS = (
    ("write", "a pen"), ("cut paper", "scissors"), ("eat soup", "a spoon"), ("sweep the floor", "a broom"),
    ("drive a nail into wood", "a hammer"), ("open a lock", "a key"), ("brush our teeth", "a toothbrush"),
    ("tell the time", "a clock"), ("stay dry in the rain", "an umbrella"), ("measure a line", "a ruler"),
    ("dig a hole", "a shovel"), ("catch a fish", "a net"), ("light a dark room", "a lamp"),
)
# thing, what it is like or does
QUALITIES = (
    ("ice", "cold"), ("fire", "hot"), ("honey", "sweet"), ("a lemon", "sour"), ("sugar", "sweet"),
    ("a stone", "hard"), ("a pillow", "soft"), ("a feather", "light"), ("sea water", "salty"),
    ("an elephant", "big"), ("an ant", "small"), ("a snail", "slow"), ("a cheetah", "fast"),
    ("glass", "hard"), ("wool", "warm"),
)
STATEMENTS = (
    "The sun rises in the east.", "The sun sets in the west.", "Water freezes into ice.",
    "Ice melts into water.", "The Earth goes around the sun.", "The moon goes around the Earth.",
    "Plants need water and light.", "Bees make honey.", "Cows give milk.", "Hens lay eggs.",
    "Sheep give wool.", "Fish swim in the water.", "Birds have feathers.", "Fish have scales.",
    "Rain falls from the clouds.", "Trees have roots and leaves.", "The stars shine at night.",
    "We sleep at night.", "We eat breakfast in the morning.", "Bread is made from flour.",
    "Cheese is made from milk.", "Paper is made from wood.", "A giraffe has a long neck.",
    "An elephant has a long trunk.", "A zebra has black and white stripes.", "A camel has a hump.",
    "A year has twelve months.", "Penguins cannot fly.", "Bats sleep in the day.", "The heart pumps blood.",
)
