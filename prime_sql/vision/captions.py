"""Captions into tags: their nouns, adjectives, verbs and noun phrases.

HanTa finds the parts of speech, LemmInflect the dictionary forms. Both carry their data inside
their wheels, so that pip alone is enough.
"""

# Chosen on the 40 COCO-style captions of tests/vision/test_captions.py, by F1 of words and of
# phrases. HanTa: 0.99 and 0.95, at 2,000 to 3,000 captions per second and core; nearly all of the
# time goes into its search for the best tags, which is pure Python. spaCy, whose models are not on
# PyPI: 0.98 and 0.94, a third as fast. TextBlob's tagger: 0.98 and 0.88, five times as fast; one
# phrase in seven is wrong. NLTK and simplemma bring no model of English parts of speech. HanTa
# guesses lemmas, too ("giraff", "sky" for "skis"); LemmInflect has a lexicon. HanTa is LGPL, so it
# is imported where a user has installed it, but is not part of this package.

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache

import pyarrow as pa

from prime_sql.engine.errors import InputError, OptionError, did_you_mean
from prime_sql.vision.network import TAGS, need

PARTS = ("noun", "adjective", "verb", "phrase")

CACHED_WORDS = 100_000
LONGEST_PHRASE = 3  # longer ones are too rare to be on many images
LONGEST_SENTENCE = 100  # HanTa adds up logarithms, and finds no tags below -1e6
LONGEST_WORD = 40  # its time grows with the square of an unknown word's length

# What an image is, not what is in it; and what language models' captions say it does.
PICTURES = frozenset(["image", "photo", "photograph", "pic", "picture", "shot", "snapshot", "view"])
SHOWS = frozenset(["capture", "contain", "depict", "display", "feature", "portray", "show"])

# LemmInflect does not know the first three, and gives other words for the rest ("leave", "short").
PLURALS = {
    "selfies": "selfie",
    "smoothies": "smoothie",
    "veggies": "veggie",
    "goggles": "goggles",
    "graffiti": "graffiti",
    "leaves": "leaf",
    "pajamas": "pajamas",
    "pants": "pants",
    "shorts": "shorts",
    "sunglasses": "sunglasses",
}

# HanTa's tags are C5, the British National Corpus's: be, do, have and modal verbs are not VV.
# One letter for each word lets a regular expression find phrases.
CODES = {
    **dict.fromkeys(["NN0", "NN1", "NN2", "NP0", "UNC"], "N"),  # UNC: words such as "giraffe"
    **dict.fromkeys(["AJ0", "AJC", "AJS"], "A"),
    **dict.fromkeys(["VVB", "VVD", "VVG", "VVI", "VVN", "VVZ"], "V"),
    "CJC": "C",
}
OTHER = "-"
PARTS_OF_CODES = {"N": "noun", "A": "adjective", "V": "verb"}
PHRASE = re.compile("(?:A(?:CA)*|N)+N")
PIECE = re.compile("A(?:CA)*|N")  # "black and white" is one
INFLECTED = {
    "NN2": "NOUN",
    **dict.fromkeys(["AJC", "AJS"], "ADJ"),
    **dict.fromkeys(["VVD", "VVG", "VVN", "VVZ"], "VERB"),
}

_LETTER = "[0-9a-zß-öø-ɏ]"
_CLITIC = "(?:s|d|m|ll|re|ve)"  # "is n't" and "dog 's" are two words each, as in HanTa's training
TOKEN = re.compile(
    rf"{_LETTER}+?(?=n't\b)|n't\b|'{_CLITIC}\b"
    rf"|{_LETTER}+(?:-{_LETTER}+|'(?!{_CLITIC}\b){_LETTER}+)*|\n|\S"
)
CLOSE_UP = re.compile(r"\bclose ?up")
WORD = re.compile(f"'?{_LETTER}")


class CaptionTagger:
    """Tags of captions, all with the score 1.

    Words come in the order of the caption, then phrases, each tag once.

    Parameters
    ----------
    parts
        Which tags are wanted, of ``noun``, ``adjective``, ``verb`` and ``phrase``.

    Raises
    ------
    InstallError
        When HanTa or LemmInflect is not installed.
    OptionError
        When a part is not one of these, or no part is given.
    """

    name = "captions"
    returns = TAGS

    def __init__(self, parts: Collection[str] = PARTS) -> None:
        self.parts = _checked(parts)
        self._dictionary = need("lemminflect", "captions")
        self._model = need("HanTa.HanoverTagger", "captions").HanoverTagger("morphmodel_en.pgz")
        # Otherwise it would analyse a word that it was not trained on again each time.
        self._model.analyze_forward = lru_cache(CACHED_WORDS)(self._model.analyze_forward)
        self._lemma = lru_cache(CACHED_WORDS)(self._find_lemma)

    def tag(self, captions: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Return the tags of each caption; null for null.

        Raises
        ------
        InputError
            When the captions are not text.
        """
        tags: list[str] = []
        offsets: list[int | None] = []
        for caption in captions.to_pylist():
            offsets.append(None if caption is None else len(tags))
            if caption is not None:
                if not isinstance(caption, str):
                    raise InputError(f"captions must be text, got {captions.type}")
                tags += self._tags(caption)
        offsets.append(len(tags))
        scores = pa.repeat(pa.scalar(1, pa.float32()), len(tags))
        values = pa.StructArray.from_arrays(
            [pa.array(tags, pa.string()), scores], fields=list(TAGS.value_type)
        )
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)

    def _tags(self, caption: str) -> list[str]:
        words: list[str] = []
        phrases: list[str] = []
        for sentence in _sentences(caption):
            tags = self._model.tag_sent(sentence, taglevel=0)  # 0: without HanTa's lemmas
            self._correct_participles(sentence, tags)
            lemmas = [self._lemma(word, tag) for word, tag in zip(sentence, tags, strict=True)]
            codes = _codes(lemmas, tags)
            for lemma, code in zip(lemmas, codes, strict=True):
                if PARTS_OF_CODES.get(code) in self.parts:
                    words.append(lemma)
            if "phrase" in self.parts:
                phrases += _phrases(sentence, lemmas, codes)
        return list(dict.fromkeys(words + phrases))

    def _correct_participles(self, words: list[str], tags: list[str]) -> None:
        """Make "surfing" in "a man surfing" a verb again.

        Captions leave out "is", and HanTa was trained on books and newspapers. A word that is not
        a noun in the lexicon is not one after a noun, unless another follows: "a city parking
        meter".
        """
        for i in range(1, len(words) - 1):
            if (
                words[i].endswith("ing")
                and CODES.get(tags[i]) in ("N", "A")
                and (CODES.get(tags[i - 1]) == "N" or tags[i - 1].startswith(("VB", "XX")))
                and CODES.get(tags[i + 1]) != "N"
                and self._dictionary.getAllLemmas(words[i]).keys() <= {"VERB"}
            ):
                tags[i] = "VVG"

    def _find_lemma(self, word: str, tag: str) -> str:
        if tag not in INFLECTED:
            return word
        if tag == "NN2" and word in PLURALS:
            return PLURALS[word]
        found = self._dictionary.getLemma(word, INFLECTED[tag])
        return str(found[0]) if found else word


def _checked(parts: Collection[str]) -> frozenset[str]:
    known = ", ".join(PARTS)
    if isinstance(parts, str) or not parts:
        raise OptionError(f"parts must be a list of some of {known}, got {parts!r}")
    for part in parts:
        if part not in PARTS:
            raise OptionError(f"there is no part {part!r}.{did_you_mean(str(part), PARTS)}")
    return frozenset(parts)


def _sentences(caption: str) -> Iterator[list[str]]:
    """Split a caption into words; whatever else is between them becomes a comma."""
    text = unicodedata.normalize("NFKC", caption).lower()
    text = CLOSE_UP.sub("close-up", text.replace("’", "'").replace("&", " and "))
    sentence: list[str] = []
    for token in TOKEN.findall(text):
        if token in ".!?;\n":
            if sentence:
                yield [*sentence, "."]
            sentence = []
        elif WORD.match(token) and len(token) <= LONGEST_WORD:
            sentence.append(token)
        elif sentence and sentence[-1] != ",":
            sentence.append(",")
        if len(sentence) == LONGEST_SENTENCE:
            yield sentence
            sentence = []
    if sentence:
        yield [*sentence, "."]


def _codes(lemmas: list[str], tags: list[str]) -> str:
    """Return one letter for each word; words about the picture itself count as other."""
    codes = ""
    before = ""
    for lemma, tag in zip(lemmas, tags, strict=True):
        about_picture = lemma in PICTURES or (before in PICTURES and lemma in SHOWS)
        codes += OTHER if about_picture else CODES.get(tag, OTHER)
        before = lemma
    return codes


def _phrases(words: list[str], lemmas: list[str], codes: str) -> Iterator[str]:
    """Yield the noun phrases, each with one to two words before its noun."""
    for match in PHRASE.finditer(codes):
        pieces = [
            # A noun before a noun keeps its form: "sports car".
            " ".join(words[i] if codes[i] == "N" else lemmas[i] for i in range(*piece.span()))
            for piece in PIECE.finditer(codes, *match.span())
        ]
        pieces[-1] = lemmas[match.end() - 1]
        for length in range(2, min(LONGEST_PHRASE, len(pieces)) + 1):
            yield " ".join(pieces[-length:])
