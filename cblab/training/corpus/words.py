"""Word lists that stories are made of: names, homes, places, things. All tuples: the order is fixed."""

# The formatter would put every word on its own line; packed lists are easier to read.
# fmt: off

GIRL_NAMES = (
    "Mia", "Lily", "Anna", "Emma", "Sara", "Zoe", "Ella", "Nora", "Ruby", "Clara", "Lucy", "Maya", "Rosa",
    "Ivy", "Amy", "Leila", "Tina", "Grace", "Hana", "Julia", "Alice", "Eva", "Nina", "Molly", "Sofia", "Kate",
    "Ada", "Lena",
)
BOY_NAMES = (
    "Tom", "Ben", "Leo", "Max", "Sam", "Finn", "Noah", "Jack", "Oscar", "Theo", "Adam", "Luca", "Omar",
    "Hugo", "Tim", "Jonas", "Peter", "Eli", "Felix", "Milo", "Ravi", "Paul", "Emil", "Anton", "Oliver", "Ken",
    "David", "Henry",
)
SHE_ANIMAL_NAMES = (
    "Dot", "Hazel", "Poppy", "Daisy", "Willow", "Pearl", "Bella", "Luna", "Penny", "Honey", "Tilly", "Fern",
    "Olive", "Maple", "Juno", "Minnie", "Coco", "Rosie", "Nell", "Bonnie", "Misty", "Clover", "Kiki", "Sunny",
)
HE_ANIMAL_NAMES = (
    "Pip", "Momo", "Bruno", "Tuft", "Benny", "Rusty", "Otto", "Gus", "Barney", "Nico", "Toby", "Pepper",
    "Biscuit", "Fuzz", "Archie", "Monty", "Teddy", "Bobo", "Chip", "Scout", "Dusty", "Moss", "Basil",
    "Jasper",
)

# Each animal that can be a hero, with the places where it may live.
ANIMAL_HOMES = (
    ("fox", ("in a cosy den under an old oak tree", "in a den on a green hill",
             "at the edge of a quiet forest")),
    ("rabbit", ("in a warm burrow under the meadow", "in a burrow near a carrot field",
                "at the foot of a green hill")),
    ("bear", ("in a big cave in the mountains", "in a cave near a river", "in the middle of a deep forest")),
    ("mouse", ("in a tiny hole behind the kitchen wall", "in an old boot in the garden",
               "under the floor of a barn")),
    ("hedgehog", ("under a pile of leaves in the garden", "under a thick hedge",
                  "at the edge of a quiet forest")),
    ("squirrel", ("in a hollow tree in the park", "high up in a pine tree", "in an old oak tree")),
    ("badger", ("in a deep burrow in the woods", "under a hill in the forest")),
    ("otter", ("beside a quick little river", "on the bank of a blue lake")),
    ("puppy", ("on a busy farm", "in a kennel behind a red house", "in a little house by the sea")),
    ("kitten", ("in a house with a blue door", "in a warm barn on a farm", "above a bakery in a small town")),
    ("duck", ("beside a round pond", "in the reeds by the lake", "on a busy farm")),
    ("frog", ("on a lily pad in a green pond", "beside a slow stream")),
    ("turtle", ("beside a quiet pond", "on a sunny beach", "on the bank of a blue lake")),
    ("lamb", ("on a busy farm", "on a green hill with many sheep", "in a meadow near the mountains")),
    ("pig", ("on a busy farm", "in a small house made of bricks", "behind a big red barn")),
    ("deer", ("in the middle of a deep forest", "in a quiet valley", "at the edge of a wide meadow")),
    ("beaver", ("in a wooden house on the river", "beside a quick little river")),
    ("mole", ("in a tunnel under the garden", "under a wide meadow")),
    ("goat", ("on a rocky mountain", "on a busy farm", "in a meadow near the mountains")),
    ("raccoon", ("in a hollow tree in the park", "in the woods behind the town")),
    ("monkey", ("in a tall tree in the jungle", "on an island with many palm trees")),
    ("elephant", ("in a wide green valley", "near a river in the jungle")),
    ("penguin", ("on an island of ice", "by the cold blue sea")),
    ("panda", ("in a forest of bamboo", "on a misty mountain")),
)
WATER_ANIMALS = ("otter", "duck", "frog", "turtle", "beaver", "penguin")
BIG_ANIMALS = ("bear", "deer", "pig", "goat", "elephant", "panda", "penguin")
CHILD_HOMES = (
    "in a small village by the sea", "in a little house on a hill", "in a yellow house near the forest",
    "in a tall house in a busy town", "on a farm with many animals", "in a cottage beside a river",
    "in a house with a big garden", "near a wide blue lake", "in a village in the mountains",
    "above a small shop in the town", "in a white house near the park", "on a quiet street with many trees",
)
CHILD_SIZES = ("little", "little", "little", "young", "kind", "clever", "happy", "cheerful")
ANIMAL_SIZES = ("little", "little", "little", "small", "young", "clever", "happy", "brown", "curious")
# A colour or a trait that does not suit every animal is left out of the openings of that animal.
BROWN_ANIMALS = (
    "rabbit", "bear", "mouse", "hedgehog", "squirrel", "otter", "puppy", "duck", "deer", "beaver", "goat",
)

TRAITS = (
    "kind", "curious", "brave", "clever", "gentle", "cheerful", "friendly", "patient", "careful", "playful",
)
HOBBIES = (
    "to sing", "to dance", "to draw pictures", "to climb", "to tell stories", "to collect shiny stones",
    "to run fast", "to look at the clouds", "to pick flowers", "to play in the rain", "to count the stars",
    "to explore", "to listen to stories", "to help others", "to make things", "to watch the birds",
    "to jump over puddles",
)
PARENTS = ("mother", "father", "grandmother", "grandfather", "mother", "father", "aunt", "uncle")
FEMALE_PARENTS = ("mother", "grandmother", "aunt")

COLOURS = ("red", "blue", "yellow", "green", "purple", "orange", "white", "golden", "silver", "pink")
TREASURES = (
    "ball", "kite", "hat", "scarf", "button", "drum", "bell", "boat", "ribbon", "umbrella", "whistle",
    "spoon", "box", "lantern", "cup", "blanket", "ring", "bag", "bucket", "marble", "feather", "toy train",
    "toy horse",
)
HIDING_PLACES = (
    "under the bed", "behind the door", "in the garden", "under the big tree", "beside the pond",
    "behind the barn", "in the tall grass", "near the well", "under the bridge", "in the kitchen",
    "beside the old fence", "behind the big rock", "under the bench", "in the basket",
    "on the path to the forest", "near the river", "under a pile of leaves", "behind the rose bush",
    "in the hollow log", "next to the mill",
)
FRUITS = ("apples", "berries", "pears", "plums", "cherries", "nuts", "strawberries", "peaches")
FOODS = (
    "bread and honey", "warm soup", "apple pie", "pancakes", "fresh bread and cheese", "berry cake",
    "carrot soup", "hot cocoa and cookies", "a big bowl of porridge", "honey cake",
)
WISE_ANIMALS = ("owl", "turtle", "crow", "goose", "goat", "toad", "badger", "bear", "donkey", "horse")
WISE_PEOPLE = (
    ("the baker", "he"), ("the farmer", "he"), ("the teacher", "she"), ("the miller", "he"),
    ("the gardener", "she"), ("the old sailor", "he"), ("the shepherd", "she"), ("the postman", "he"),
    ("the doctor", "she"),
)
DAY_PARTS = (
    "One morning", "One day", "One sunny day", "One afternoon", "One cold morning", "One spring day",
    "One summer day", "One autumn day", "One bright morning", "One Saturday", "One Sunday",
)
PLACES = (
    "the forest", "the meadow", "the river", "the hill", "the pond", "the park", "the beach", "the lake",
    "the old mill", "the garden", "the market", "the bridge",
)
