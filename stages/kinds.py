"""The kinds of questions: which a passage is asked for, so that each has its share, and which one is what."""

import re
import unicodedata
from collections.abc import Mapping
from itertools import accumulate

from stages import cache
from stages.option import nearest

KINDS = ("fact", "list", "definition", "reason", "number")
THING = r"\S+(?: \S+){0,4}"  # what a definition is asked of
# By language, how a question's kind is known: the first form that fits its beginning.
FORMS = {
    language: {kind: re.compile(form, re.IGNORECASE) for kind, form in forms.items()}
    for language, forms in {
        "en": {
            "number": r"how (?:many|much|often|long|far|old|large|high|soon|quickly|fast|frequently"
            r"|big|wide|deep|tall|thick|heavy|small|late|early)\b",
            "reason": r"(?:why|how)\b",
            # "What are the costs of a boat?" asks for facts.
            "definition": rf"what (?:is|are) (?!the (?!definition|meaning)[^?]* of\b){THING}\?$"
            rf"|what (?:do|does) {THING} mean\?$",
            "list": r"(?:what|which) (?:\S+s) (?:should|must|may|can|are|do)\b",
        },
        "de": {
            "number": r"wie ?(?:viele?[mnrs]?|oft|lange|weit|alt|groß|hoch|bald|schnell|häufig|breit|tief"
            r"|dick|schwer|klein|spät|früh)\b",
            "reason": r"(?:warum|weshalb|weswegen|wieso|wozu|wodurch|inwiefern|wie(?! (?:heiß|laute|nenn)))\b"
            r"|aus welche[mn] gr[uü]nde?n?\b",
            # It ends with a noun, which has a capital: "Was ist vor einer Reise zu prüfen?" asks for facts.
            "definition": r"was (?:ist|sind) (?!(?:der|die|das)\b[^?]* (?:der|des|eine[rs]|vo[nm])\b)"
            r"(?:\S+ ){0,4}[„“\"]?(?-i:[A-ZÄÖÜ])\S*\?$"
            rf"|was (?:bedeute[nt]|heißt|versteht man unter) {THING}\?$",
            "list": r"welche (?:\S+ ){1,2}(?:sollt?en|müsst?en|dürfen|können|sind|gibt es|gehören)\b",
        },
        "fr": {
            "number": r"(?:(?:de|depuis|en|pendant|pour|tous les) )?combien\b"
            r"|à quelle (?:fréquence|distance|vitesse|hauteur|profondeur)\b",
            "reason": r"pourquoi\b|pour quelles? raisons?\b|comment(?! (?:s['’]|se )?(?:appel|nomm))\b",
            # "Qu'est-ce que le capitaine doit vérifier ?" has a verb.
            "definition": r"qu['’]est-ce qu(?:e |['’])(?![^?]* (?:doit|doivent|peut|peuvent|faut|fait|font|a"
            rf"|ont|est|sont)\b){THING}\s?\?$"
            rf"|que (?:signifie(?:nt)?|veut dire|veulent dire) {THING}\s?\?$"
            rf"|qu['’]entend-on par {THING}\s?\?$",
            "list": r"quel(?:le)?s (?:sont les|(?:\S+ ){1,3}(?:doi(?:ven)?t|peu(?:ven)?t|faut-il|sont))\b",
        },
        "es": {
            "number": r"(?:(?:cada|de|desde hace|durante|en|por) )?cuánt[oa]s?\b|con qué frecuencia\b"
            r"|a qué (?:distancia|velocidad|altura|profundidad)\b",
            "reason": r"(?:por|para) qué\b|cómo(?! se (?:llama|denomina))\b",
            "definition": r"qué (?:es|son) (?!lo\b|necesari|importante|obligatori|posible)"
            rf"{THING}\?$|qué (?:significan?|quieren? decir|se entiende por) {THING}\?$",
            "list": r"cuáles son\b|qué (?:\S+ )?\S+s (?:deben?|pueden?|son|hay|tienen)\b",
        },
    }.items()
}


def fault_of_shares(shares: Mapping[str, float]) -> str | None:
    """What is wrong with the shares of the kinds, or None."""
    for name, share in shares.items():
        if name not in KINDS:
            return f".{name} is no kind of question ({', '.join(KINDS)}){nearest(name, KINDS)}"
        if share < 0:
            return f".{name}={share}: a share is 0 or more"
    return None if sum(shares.values()) > 0 else " are all 0: at least one kind needs a share"


def allot(shares: Mapping[str, float], count: int, text: str) -> dict[str, int]:
    """How many of a passage's `count` questions are to be of which kind; kinds without any are left out.

    Systematic sampling: `count` evenly spaced points, from a start that the passage's own text
    draws, fall on the line of the shares. So each kind gets its share of `count` rounded up or
    down, in the mean exactly, and what one passage is asked for hangs on no other passage.
    """
    names = [name for name in KINDS if shares.get(name)]
    ends = list(accumulate(shares[name] for name in names))
    start = int(cache.digest(text)[:12], 16) / 16**12
    chosen = [_at((start + number) / count * ends[-1], ends) for number in range(count)]
    return {name: chosen.count(place) for place, name in enumerate(names) if place in chosen}


def _at(point: float, ends: list[float]) -> int:
    # Rounding may put the last point on the very end.
    return next((place for place, end in enumerate(ends) if point < end), len(ends) - 1)


def kind_of(question: str, language: str) -> str:
    """The kind of a question, known by its opening; a fact in a language without `FORMS`."""
    opening = unicodedata.normalize("NFC", question).lstrip("¿ ")
    return next((kind for kind, form in FORMS.get(language, {}).items() if form.match(opening)), "fact")
