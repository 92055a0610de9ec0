"""The values that people tell: names, towns, foods and so on, in three disjoint parts.

The words of the "train" values are in the vocabulary. No word of the names, towns and colours of "valid" and "test" is in
it, so a model can only copy these; of the other values, some words are ("pie", "8"). Names and towns can also be made up
from syllables, without limit; a hash of its letters assigns a made-up word to a part.
"""

import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

__all__ = ["PETS", "RELATIONS", "UNITS", "Split", "draw", "made_up", "part_of", "trained_values"]

Split = Literal["train", "valid", "test"]

RELATIONS = tuple(
    "sister brother mother father wife husband daughter son friend neighbour boss cousin aunt uncle girlfriend "
    "boyfriend partner colleague roommate grandmother grandfather".split()
)
PETS = tuple("dog cat hamster parrot rabbit horse goldfish turtle pony ferret budgie snake".split())
UNITS = ("minutes", "seconds", "hours", "min")


def _several(text: str) -> list[str]:
    return text.split(", ")


LISTS: dict[str, dict[Split, tuple[str, ...]]] = {
    "name": {
        "train": tuple(
            "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan "
            "Joseph Jessica Thomas Sarah Charles Karen Daniel Lisa Matthew Nancy Anthony Betty Mark Sandra Donald "
            "Margaret Steven Ashley Paul Kimberly Andrew Emily Joshua Donna Kenneth Michelle Kevin Carol Brian Amanda "
            "George Melissa Timothy Deborah Ronald Stephanie Jason Rebecca Edward Sharon Jeffrey Laura Ryan Cynthia "
            "Jacob Amy Gary Kathleen Nicholas Angela Eric Shirley Jonathan Brenda Stephen Emma Larry Anna Justin Pamela "
            "Scott Nicole Brandon Samantha Benjamin Katherine Samuel Christine Gregory Helen Alexander Debra Patrick "
            "Rachel Jack Carolyn Dennis Janet Tyler Maria Aaron Olivia Jose Heather Adam Diane Nathan Julie Henry "
            "Joyce Peter Victoria Kyle Ruth Noah Virginia Ethan Lauren Hannah Bob Tom Ana Ben Sam Max Leo Mia Zoe".split()
        ),
        "valid": tuple(
            "Ingrid Yusuf Priya Mateo Astrid Kofi Leilani Dmitri Saoirse Hiroshi Amara Bjorn Chiara Tariq".split()
        ),
        "test": tuple(
            "Zyphra Oluwaseun Xiomara Thandiwe Siobhan Rajesh Yevgenia Caoimhe Kwame Nadezhda Aurelio Ikram Guadalupe "
            "Wolfgang Parvati Quentin Soren Anneliese Bartholomew Evangeline Takumi Fatoumata Ludmila Zebedee".split()
        ),
    },
    "town": {
        "train": (
            *"London Paris Berlin Madrid Rome Vienna Oslo Dublin Lisbon Prague Warsaw Athens Budapest Copenhagen Helsinki "
            "Stockholm Brussels Amsterdam Zurich Geneva Munich Hamburg Milan Naples Barcelona Seville Porto Lyon "
            "Marseille Bristol Leeds Glasgow Edinburgh Manchester Liverpool Chicago Boston Seattle Denver Dallas Houston "
            "Austin Miami Atlanta Portland Toronto Montreal Vancouver Sydney Melbourne Perth Auckland Tokyo Osaka Kyoto "
            "Seoul Beijing Shanghai Delhi Mumbai Cairo Nairobi Lagos Accra Lima Bogota Santiago Moscow Istanbul".split(),
            *_several(
                "New York, San Diego, Los Angeles, Cape Town, Hong Kong, Rio Grande, Buenos Aires, Las Vegas, "
                "San Francisco, New Orleans, Salt Lake, Mexico City, Tel Aviv, Abu Dhabi, Sao Paulo, San Jose, "
                "Rio de Janeiro, Salt Lake City, Ho Chi Minh, Stratford upon Avon, San Luis Obispo"
            ),
        ),
        "valid": (
            *"Utrecht Tampere Graz Bergen Adelaide Winnipeg Tucson Porvoo".split(),
            "Puerto Montt",
            "Baton Rouge",
        ),
        "test": (
            *"Reykjavik Ljubljana Timbuktu Ouagadougou Novosibirsk Antananarivo Thessaloniki Wagga Tbilisi Valparaiso "
            "Samarkand Bratislava Kathmandu Ulaanbaatar Trondheim Coimbra Eindhoven Gaborone".split(),
            *_several("Addis Ababa, Santa Fe, Kuala Lumpur, Des Moines, Phnom Penh, Santa Cruz Tenerife"),
        ),
    },
    "job": {
        "train": (
            *"teacher nurse doctor plumber baker lawyer farmer pilot painter writer singer dancer driver waiter carpenter "
            "mechanic dentist cook chef gardener librarian student scientist programmer designer photographer journalist "
            "accountant engineer electrician architect actor artist editor".split(),
            *_several(
                "truck driver, police officer, software engineer, shop assistant, yoga coach, "
                "bus driver, music teacher, fire fighter, sales manager, night nurse, wedding planner, data analyst, ski instructor, "
                "office clerk, art dealer, insurance agent, event manager, airline pilot, estate agent"
            ),
        ),
        "valid": (*"tailor surgeon barista umpire optician".split(), "tax inspector"),
        "test": (
            *"beekeeper locksmith astronomer cartographer undertaker illustrator anthropologist welder juggler".split(),
            *_several("marine biologist, crane operator, opera conductor"),
        ),
    },
    "food": {
        "train": (
            *"pizza pasta sushi chocolate spaghetti lasagna curry salad soup steak bread cheese rice noodles burgers tacos "
            "pancakes waffles strawberries apples bananas chicken salmon tofu dumplings ramen potatoes risotto".split(),
            *_several(
                "fried rice, apple pie, mashed potatoes, fish fingers, roast beef, "
                "tomato soup, grilled cheese, chicken wings, lemon cake, potato salad, vanilla cream, onion rings, garlic bread"
            ),
        ),
        "valid": (*"falafel goulash paella mussels".split(), "garlic prawns"),
        "test": (
            *"moussaka pierogi couscous ceviche gnocchi haggis borscht shakshuka tiramisu bibimbap".split(),
            *_several("pumpkin stew, shepherds pie, lentil dal"),
        ),
    },
    "colour": {
        "train": tuple(
            "red blue green yellow purple pink black white orange brown grey violet silver gold beige".split()
        ),
        "valid": ("magenta", "lilac", "navy"),
        "test": tuple("turquoise maroon teal indigo crimson chartreuse mauve".split()),
    },
    "surname": {
        "train": tuple(
            "Smith Jones Taylor Brown Williams Wilson Johnson Davies Robinson Wright Thompson Evans Walker White Roberts "
            "Hall Wood Jackson Clarke Harris Clark Lewis Cooper Miller Garcia Martinez Lopez Schmidt Weber Rossi".split()
        ),
        "valid": tuple("Fischer Novak Hughes Moreau Bianchi".split()),
        "test": tuple("Okonkwo Lindqvist Papadopoulos Nakamura Vasquez Kowalczyk Ramanujan Oyelaran".split()),
    },
    "errand": {  # the thing in "buy THING"
        "train": (
            *"milk eggs butter flowers batteries stamps tickets shoes paint sugar flour candles medicine wine tea".split(),
            *_several(
                "orange juice, birthday cards, light bulbs, "
                "paper towels, hand soap, olive oil, dog food, cough syrup, wool socks, bread rolls, ice cubes"
            ),
        ),
        "valid": (*"vinegar yeast".split(), "shoe laces"),
        "test": (*"oatmeal detergent cinnamon sandpaper mustard envelopes".split(), *_several("lamp oil, cat litter")),
    },
}
NUMBERS: dict[str, dict[Split, tuple[str, ...]]] = {
    "age": {
        "train": tuple(str(n) for n in range(6, 99) if n % 5 not in (1, 3)),
        "valid": tuple(str(n) for n in range(6, 99) if n % 5 == 1),
        "test": tuple(str(n) for n in range(6, 99) if n % 5 == 3),
    },
    "count": {
        "train": (
            *(str(n) for n in range(2, 61) if n % 5 not in (1, 3)),
            *"two three four five ten twelve fifteen twenty thirty forty fifty".split(),
        ),
        "valid": tuple(str(n) for n in range(2, 61) if n % 5 == 1),
        "test": tuple(str(n) for n in range(2, 61) if n % 5 == 3),
    },
    "time": {
        "train": (
            *(str(n) for n in range(2, 13)),
            *(f"{h}:{m}" for h in range(1, 13) for m in ("00", "15", "30", "45")),
            *"two three four five ten twelve".split(),
        ),
        "valid": tuple(f"{h}:{m}" for h in range(1, 13) for m in ("05", "25")),
        "test": tuple(f"{h}:{m}" for h in range(1, 13) for m in ("10", "20", "35", "40", "50", "55")),
    },
}
SURNAMED = 0.15  # share of names with two or three words
SYLLABLES = tuple(
    "ba be bi bo da del dor e fa fen ga gri ha i jo ka kel ki la len li lo ma mi mor na ne nor o pa pel qui ra ri ro sa "
    "sel shi so ta te thi tor u va vel vi wen xa ya yo za zel zu".split()
)
ENDINGS = {
    "name": ("", "n", "s", "ra", "l", "th", "x"),
    "town": ("ville", "burg", "ton", "field", "mouth", "stad", "ford"),
}


def part_of(text: str) -> Split:
    """Return the part of this text, by a hash of its letters: 3/4 are "train", 1/8 each "valid" and "test"."""
    place = zlib.crc32(text.encode()) % 8
    return "valid" if place == 6 else "test" if place == 7 else "train"


def draw(kind: str, split: Split, rng: np.random.Generator) -> str:
    """Return a random value of this kind and part. Half of the names and towns of "valid" and "test" are made up."""
    lists = NUMBERS[kind] if kind in NUMBERS else LISTS["name" if kind == "pet" else kind]
    made = {"pet": "name"}.get(kind, kind)
    invented = split != "train" and made in ENDINGS and rng.random() < 0.5
    value = made_up(made, split, rng) if invented else _one_of(lists[split], rng)
    if kind == "name" and rng.random() < SURNAMED:
        middle = " " + _one_of(lists[split], rng) if rng.random() < 0.3 else ""
        value += middle + " " + _one_of(LISTS["surname"][split], rng)
    return value


def _one_of(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def trained_values() -> list[str]:
    """Return every value of the part "train", kind by kind."""
    return [value for lists in (*LISTS.values(), *NUMBERS.values()) for value in lists["train"]]


def made_up(kind: str, split: Split, rng: np.random.Generator) -> str:
    """Return a made-up "name" or "town" of this part."""
    while True:
        syllables = [SYLLABLES[rng.integers(len(SYLLABLES))] for _ in range(rng.integers(2, 4))]
        endings = ENDINGS[kind]
        word = "".join(syllables) + endings[rng.integers(len(endings))]
        if len(word) >= 5 and part_of(word) == split:
            return word.capitalize()
