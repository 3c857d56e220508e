"""What biographies are made of: names, and for each attribute its values, three ways to tell and six to ask.

No word stands both in a way of telling and in a way of asking, but those of FUNCTION_WORDS and the names (a test looks
after it), so that whoever writes another sentence here must find words that the other side does not have.
"""

from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = {  # with their nicknames
    "Alexander": "Sandy", "Andrew": "Drew", "Anthony": "Tony", "Barbara": "Babs", "Benjamin": "Benny",
    "Catherine": "Kitty", "Charles": "Chuck", "Christina": "Tina", "Christopher": "Kit", "Daniel": "Danny",
    "Deborah": "Debbie", "Dorothy": "Dot", "Edward": "Ned", "Elizabeth": "Betsy", "Frances": "Fanny",
    "Frederick": "Fred", "Gabriel": "Gabe", "Gregory": "Greg", "Gwendolyn": "Gwen", "Harold": "Harry",
    "Henrietta": "Etta", "Isabella": "Izzy", "Jacob": "Jake", "Jennifer": "Jenny", "Joseph": "Joey",
    "Josephine": "Josie", "Katherine": "Kate", "Kenneth": "Ken", "Lawrence": "Larry", "Leonard": "Lenny",
    "Margaret": "Peggy", "Matthew": "Matt", "Michael": "Mick", "Nathaniel": "Nate", "Nicholas": "Nick",
    "Patricia": "Patty", "Penelope": "Penny", "Philip": "Pip", "Raymond": "Ray", "Rebecca": "Becky",
    "Richard": "Dick", "Robert": "Bob", "Samuel": "Sam", "Stephen": "Steve", "Susan": "Sue",
    "Theodore": "Ted", "Thomas": "Tommy", "Timothy": "Tim", "Victoria": "Vicky", "William": "Bill",
}  # fmt: skip
SURNAMES = _words(
    "Abbott Ackerman Aldridge Armstrong Atkinson Bancroft Barlow Bauer Beckett Bellamy Bennett Blackwood Bradshaw "
    "Brennan Caldwell Carmichael Castillo Chambers Cooper Crawford Dalton Davenport Delgado Donovan Drummond Eastman "
    "Ellison Emerson Farrell Fitzgerald Fleming Forsyth Gallagher Garrison Gibson Goldberg Grimaldi Hamilton Hancock "
    "Harrington Hawthorne Hoffman Holloway Huxley Ingram Jacobsen Jefferson Kaufman Kendrick Kowalski Lancaster "
    "Langley Larsson Lindgren Lockwood MacDonald Marchetti Marlowe Maxwell McAllister Mendoza Montgomery Moreau "
    "Nakamura Nielsen Norwood Oakley Osborne Pemberton Petrov Pickering Quincy Radcliffe Ramirez Rasmussen Redmond "
    "Richter Rosenthal Rutherford Salazar Sanderson Schneider Sinclair Sokolov Stafford Sutherland Tanaka Thornton "
    "Underwood Valentine Vandenberg Villanueva Wadsworth Wakefield Weatherby Whitaker Winchester Yamamoto Zimmerman "
    "Zhang"
)
SYLLABLES = _words("bra dul fen gor hil jax kel lum mor nap oth pli quo ruv sev tor ust vek wim xan yol zar drim skel")

FUNCTION_WORDS = _words(
    "a an and are as at be by can did do does for from had has have in is of on or that the to was were what when "
    "where which who whom whose with would how"
)


@dataclass(frozen=True)
class Attribute:
    """values: those that a fact may have; none where it is another person. told, asked: sentences of {name} and, told,
    {value}."""

    name: str
    values: tuple[str, ...]
    told: tuple[str, str, str]
    asked: tuple[str, str, str, str, str, str]


def _attribute(
    name: str, values: str, told: tuple[str, str, str], asked: tuple[str, str, str, str, str, str]
) -> Attribute:
    return Attribute(name, tuple(value for value in values.split(", ") if value), told, asked)


ATTRIBUTES = (
    _attribute(
        "birthplace",
        "Lisbon, Nairobi, Osaka, Tallinn, Quito, Ankara, Dublin, Krakow, Hanoi, Bergen, Lima, Tbilisi, Porto, Seville, "
        "Adelaide, Riga, Toronto, Casablanca, Malmo, Zagreb",
        (
            "{name} first saw the light of day in {value}.",
            "The cradle of {name} stood in {value}.",
            "{value} is the native soil of {name}.",
        ),
        (
            "Where was {name} born?",
            "What is the birthplace of {name}?",
            "Which town does {name} come from?",
            "In which city did the mother of {name} give birth?",
            "What is the hometown of {name}?",
            "Where does {name} originate from?",
        ),
    ),
    _attribute(
        "employer",
        "Norvik Steel, Blue Heron Bank, Castor Airlines, Delta Mills, Eastgate Insurance, Falcon Press, Granite Oil, "
        "Harbour Foods, Ionic Labs, Juniper Hotels, Keystone Rail, Lumen Optics, Meridian Post, Northwind Energy, "
        "Orchid Pharma, Pioneer Tyres, Quartz Mining, Redwood Paper, Summit Telecom, Tundra Shipping",
        (
            "{name} draws a salary at {value}.",
            "The payroll of {value} lists {name}.",
            "Each weekday {name} badges into the offices of {value}.",
        ),
        (
            "Who employs {name}?",
            "Which company does {name} work for?",
            "Where does {name} have a job?",
            "What firm is the employer of {name}?",
            "At which business is {name} employed?",
            "For which corporation is {name} working?",
        ),
    ),
    _attribute(
        "school",
        "Ashford, Brightwater, Coldstream, Dunmore, Eldridge, Fairhaven, Glenrock, Highfield, Inverness, Kingsbridge, "
        "Lakeside, Millbrook, Newhall, Oakridge, Penrose, Ravenscourt, Silverton, Thornbury, Westcliff, Yarrow",
        (
            "{name} graduated from {value}.",
            "A diploma of {value} hangs above the desk of {name}.",
            "{name} spent four years in the lecture halls of {value}.",
        ),
        (
            "Where did {name} study?",
            "Which university educated {name}?",
            "What is the alma mater of {name}?",
            "At which college was {name} a student?",
            "Who gave {name} an academic degree?",
            "Which school did {name} attend?",
        ),
    ),
    _attribute(
        "instrument",
        "cello, oboe, trombone, harp, banjo, clarinet, accordion, violin, flute, piano, guitar, trumpet, bassoon, "
        "mandolin, tuba, saxophone, sitar, organ, viola, ukulele",
        (
            "{name} practises the {value} every evening.",
            "Concerts of {name} feature a long solo on the {value}.",
            "{name} tunes the {value} before anybody else is awake.",
        ),
        (
            "What instrument does {name} play?",
            "Which musical instrument is {name} good at?",
            "What does {name} make music with?",
            "On what does {name} perform melodies?",
            "Which instrument did {name} learn?",
            "What is {name} playing in the orchestra?",
        ),
    ),
    _attribute(
        "rival",
        "",
        (
            "{name} has always competed against {value}.",
            "Year after year {name} fights over the prize with {value}.",
            "Nobody annoys {name} as much as {value}.",
        ),
        (
            "Who is the rival of {name}?",
            "Which opponent does {name} face most often?",
            "Whom does {name} consider an adversary?",
            "Who is the enemy of {name}?",
            "Who is the greatest challenger of {name}?",
            "Whom does {name} want to defeat?",
        ),
    ),
    _attribute(
        "dish",
        "lasagna, ramen, paella, goulash, falafel, sushi, moussaka, pierogi, tacos, curry, risotto, schnitzel, gumbo, "
        "fondue, dumplings, couscous, ceviche, borscht, pancakes, kebab",
        (
            "{name} orders {value} in any restaurant.",
            "The kitchen of {name} smells of {value}.",
            "For {name} a feast means {value}.",
        ),
        (
            "What is the favourite food of {name}?",
            "Which dish does {name} like best?",
            "What does {name} love to eat?",
            "Which meal does {name} prefer?",
            "What would {name} choose for dinner?",
            "What does {name} find most delicious?",
        ),
    ),
    _attribute(
        "pet",
        "beagle, parrot, hamster, tortoise, ferret, goldfish, pony, rabbit, gecko, canary, poodle, hedgehog, python, "
        "spaniel, cockatoo, chinchilla, iguana, terrier, guinea pig, tarantula",
        (
            "A {value} sleeps beside the bed of {name}.",
            "{name} feeds the {value} every morning.",
            "The vet treats the {value} of {name} twice a year.",
        ),
        (
            "What pet does {name} own?",
            "Which animal lives with {name}?",
            "What kind of creature does {name} keep?",
            "Which animal belongs to {name}?",
            "What sort of pet has {name}?",
            "What animal companion does {name} have?",
        ),
    ),
    _attribute(
        "sport",
        "fencing, rowing, judo, archery, cricket, badminton, hockey, tennis, sailing, boxing, curling, rugby, golf, "
        "karate, volleyball, skiing, climbing, basketball, cycling, wrestling",
        (
            "{name} trains hard for {value} on weekends.",
            "A medal in {value} decorates the shelf of {name}.",
            "{name} once broke a leg while {value} was still a pastime.",
        ),
        (
            "Which sport does {name} do?",
            "What athletic activity does {name} take part in?",
            "In what discipline is {name} an athlete?",
            "Which kind of sports does {name} practice?",
            "What is the sport of {name}?",
            "Which athletic discipline suits {name}?",
        ),
    ),
    _attribute(
        "language",
        "Finnish, Swahili, Korean, Portuguese, Hungarian, Arabic, Dutch, Hindi, Polish, Turkish, Greek, Mandarin, "
        "Norwegian, Welsh, Vietnamese, Czech, Hebrew, Basque, Tagalog, Romanian",
        (
            "{name} reads novels in {value}.",
            "Fluent {value} helps {name} abroad.",
            "Even the dreams of {name} are in {value}.",
        ),
        (
            "Which language does {name} speak?",
            "What foreign tongue does {name} know?",
            "In what language can {name} talk?",
            "Which language has {name} mastered?",
            "What is the second language of {name}?",
            "In which tongue does {name} converse?",
        ),
    ),
    _attribute(
        "vehicle",
        "tractor, scooter, minivan, motorbike, camper, pickup truck, limousine, jeep, hatchback, roadster, "
        "moped, tricycle, hearse, station wagon, coupe, milk float, convertible, snowmobile, double-decker, golf buggy",
        (
            "{name} parks a {value} outside.",
            "The {value} in the garage is that of {name}.",
            "{name} refuels the {value} once a month.",
        ),
        (
            "What does {name} drive?",
            "Which vehicle does {name} use?",
            "What car does {name} have?",
            "How does {name} travel?",
            "On what does {name} ride around?",
            "Which vehicle does {name} sit in?",
        ),
    ),
    _attribute(
        "profession",
        "baker, surgeon, plumber, lawyer, architect, translator, carpenter, pilot, librarian, chemist, journalist, "
        "gardener, dentist, tailor, geologist, florist, electrician, accountant, sculptor, veterinarian",
        (
            "{name} earns money as a {value}.",
            "The brass plate at the door of {name} says {value}.",
            "Clients recommend {name} as a reliable {value}.",
        ),
        (
            "What is the profession of {name}?",
            "What is the occupation of {name}?",
            "What does {name} do professionally?",
            "Which trade did {name} take up?",
            "What career has {name} made?",
            "What is {name} by profession?",
        ),
    ),
    _attribute(
        "colour",
        "crimson, turquoise, violet, amber, emerald, navy, ivory, scarlet, olive, lavender, teal, maroon, beige, "
        "indigo, magenta, charcoal, coral, mustard, lilac, bronze",
        (
            "{name} painted all walls {value}.",
            "Every coat and scarf of {name} is {value}.",
            "The flowers in the window of {name} are {value}.",
        ),
        (
            "What is the favourite colour of {name}?",
            "Which shade does {name} like best?",
            "What colour does {name} prefer?",
            "Which hue does {name} adore?",
            "Which colour pleases {name} most?",
            "What is the preferred shade of {name}?",
        ),
    ),
)
