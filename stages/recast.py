"""English sentences recast as the questions that they answer, by their form alone.

"The team must tell the owner before a host is cut off." gives "Who must tell the owner before a host is cut
off?" and "What must the team do before a host is cut off?". Which of them is a good one, a model decides.
A form that is more often misread than read gives nothing: the model may write a question of its own.
"""

import re
from collections.abc import Callable, Iterator, Set

# Characters of a sentence, or of what introduces a list; from a longer one no question would be kept.
LONGEST = 800
MODAL = "should|must|may|can|could|will|would|might|shall"
PERSON = re.compile(
    r"\b(?:teams?|organi[sz]ations?|agenc(?:y|ies)|members?|staff|personnel|people|persons?|users?|handlers?|"
    r"managers?|administrators?|analysts?|owners?|employe[er]s?|officers?|officials?|offices?|departments?|"
    r"groups?|compan(?:y|ies)|firms?|operators?|engineers?|vendors?|providers?|(?:sub)?contractors?|attackers?|"
    r"individuals?|leads?|leaders?|captains?|supervisors?|inspectors?|workers?|drivers?|pilots?|doctors?|nurses?|"
    r"patients?|teachers?|students?|directors?|secretary|committees?|boards?|courts?|states?|customers?|clients?|"
    r"citizens?|crews?|(?:help|service) desks?|authorit(?:y|ies)|agents?|experts?|professionals?|responders?|"
    r"investigators?|auditors?|"
    r"developers?|executives?|applicants?|commission(?:er)?s?|congress|council|ministers?|president|partners?|"
    r"victims?|participants?|licensees?|government|institutions?|part(?:y|ies)|outsourcers?|"
    r"laborator(?:y|ies)|"
    r"women|men|children|parents?|[a-z]*(?:log|ic|em|rap|ent|ecial|rnal|nom|mac|dent)ists?)$",
    re.IGNORECASE,
)
RESPONSIBLE = re.compile(r"(?:\w+ly )?(?:responsible|accountable|liable|authori[sz]ed|entitled|obliged) ")
# A subject with one of these is a clause, a pronoun or a negation, not a name for something.
CLAUSE = re.compile(
    rf"\b(?:{MODAL}|that|which|who|whose|if|when|where|whether|how|why|what|because|but|however|it|they|there|this|"
    r"these|those|such|he|she|we|you|no|not|nor|none|nothing|neither|never|few|little|is|are|was|were|be|has|have|"
    r"had|following|above|below|to|examples?)\b|[—–] |[\[|]",
    re.IGNORECASE,
)
# What begins so is no subject but a circumstance, or an order: "Update the list of owners ...".
NO_SUBJECT = re.compile(
    r"(?:after|before|since|although|though|while|in|on|at|for|by|with|during|if|as|from|until|upon|within|under|"
    r"once|given|of|per|through|without|despite|unlike|like|among|between|depending|via|and|or|so|please|"
    r"ensure|verify|note|consider|remember|let|sometimes|often|whenever|wherever|here|now|first|second|third|next|"
    r"finally|the (?:next|first|last) time)\b|"
    r"(?!(?:all|both|half|only|many|what|\w+ing)\b)\w+ (?:the|an?|all|any|each|every|your|its|their)\b",
    re.IGNORECASE,
)
# Words that tie a sentence to the one before it and say nothing of their own.
FILLER = re.compile(
    r"(?<!but )(?<!, )\b"
    r"(?:also|therefore|however|thus|generally|typically|usually|furthermore|additionally)\b ?"
)
# A heading that runs into its text: "Set spike — The set spike is ...".
RUN_IN = re.compile(r"[A-Z][^.:—–]{2,80} [—–] (?=[A-Z])")
SUBJECT = r"(?P<subject>(?:[^\s,;:()]+ ){0,8}?[^\s,;:()]+(?: \([^()]{2,12}\))?)"
WHEN = "when|if|before|after|once|until|during|while|whenever|as soon as"
LEAD = rf"(?:(?P<lead>(?i:{WHEN}|unless)\b[^,;:]{{3,120}}), (?:then )?)?"
WITH_MODAL = re.compile(rf"{LEAD}{SUBJECT} (?P<modal>{MODAL}) (?P<rest>(?!not\b).+)")
COPULA = re.compile(rf"{SUBJECT} (?P<verb>is|are) (?P<rest>(?!not\b).+)")
ENTRY = re.compile(r"(?P<subject>[A-Z0-9][^:.;]{1,60}): (?P<rest>(?:An?|The|Any|One) .+)")
# A label in capitals, as in "SUMMARY: The agency proposes ...", names no term.
LABEL = re.compile(r"[A-Z ]{6,}")
ACRONYM = re.compile(
    r"(?P<short>(?=(?:[^|]{0,10}[A-Z]){2})[A-Za-z][\w&/.-]{1,11}) \| (?P<long>[A-Z][^|]{2,120}[^|.!?:;])"
)
# A subject that is a name of one word, or an acronym, may be an agency or a device: who, or what?
SHORT = re.compile(r"(?:[Tt]he )?\w*[A-Z]\w*[A-Z]\w*|[A-Z]\w+")
# What stands before a list of items.
LISTED = re.compile(
    r"The following are (?P<what>[^,;:]{8,})|"
    r"(?P<that>[^,;:]{8,}?) (?:are|include) (?:the following|as follows|listed below)[^,;:]{0,20}"
)
# Verbs that take what they are asked about as their object, with their third person.
VERBS = {
    "include": "includes", "provide": "provides", "require": "requires", "describe": "describes",
    "define": "defines", "specify": "specifies", "involve": "involves", "contain": "contains",
    "mean": "means", "refer": "refers", "identify": "identifies", "establish": "establishes",
    "cause": "causes", "allow": "allows", "enable": "enables", "offer": "offers", "support": "supports",
    "depend": "depends", "consist": "consists", "prevent": "prevents", "cover": "covers", "list": "lists",
    "explain": "explains", "ensure": "ensures", "reduce": "reduces", "increase": "increases",
    "limit": "limits",
}  # fmt: skip
BASES = {form: base for base, third in VERBS.items() for form in (base, third)}
# "Are well known and include ...": its second verb does not go with a question about one thing.
SECOND = re.compile(rf",? and (?:{'|'.join(VERBS)}) ")
# Of these, what may be nouns, and whose subject is poorly asked for: "What includes a lock?".
NOUNS = frozenset("cause cover increase limit list offer support".split())
KINDS = {"include": "list", "consist": "list", "mean": "definition", "refer": "definition"}
HOLDING = frozenset("consist contain include involve list mean refer".split())
# A verb has no object where one of these follows it, but for these pairs.
AT_WORD = re.compile(
    rf"(?:to|for|on|of|in|at|with|from|by|and|or|above|below|{MODAL}|is|are|was|were|has|have)\b|\W"
)
GOVERNED = {("refer", "to"), ("provide", "for"), ("allow", "for"), ("depend", "on"), ("consist", "of")}
ACTION = re.compile(rf"{SUBJECT} (?P<verb>{'|'.join(BASES)})\b ?(?P<rest>.*)")
# Where a predicate ends that is to be repeated in a question.
AFTERTHOUGHT = re.compile(
    r"\s*;\s*|\s+[—–]\s*|(?<!\d)[—–]|"
    r", (?:(?:(?:in|of|for|to|with|by|on|at|from|under|through|during) )?which|who|so|but|because|since|as|"
    r"although|though|where|whereas|while|such as|including|for example|"
    rf"and (?:it|they))\b|\s*\(see |: |,? and (?:{MODAL}|(?:do|does|is|are) not)\b"
)
# Another statement: "is a device and its owner is ..."; but within a clause both belong to the clause.
ANOTHER = re.compile(
    r",? and (?:(?!(?:that|which|who|where|how|what|when|if|because|so|it|they|before|after|until)\b)"
    r"[\w’'-]+ ){1,6}"
    rf"(?:{MODAL}|is|are|was|were|has|have)\b"
)
# What stands within a sentence that goes on behind it, and can be left out.
ASIDE = re.compile(
    r"\s*\((?:e\.g\.|i\.e\.|for example|see|sections?|tables?|fig|appendix|chapter|"
    r"[A-Z][\w.’ ]{1,40}, \d{4}|\d+\.\d)[^()]{0,200}\)|"
    rf", (?:such as|including|for example|which) [^;]{{1,160}}?,(?= (?:{MODAL}|is|are|was|were|has|have)\b)"
)
# "To" tells why before these alone; before other verbs it more often belongs to the word in front of it.
PURPOSE = (
    "achieve|address|allow|assess|avoid|check|comply|confirm|coordinate|demonstrate|detect|determine|eliminate|"
    "enable|encourage|enhance|ensure|establish|evaluate|facilitate|gain|guard|help|identify|improve|increase|keep|limit|"
    "maintain|make|maximi[sz]e|meet|minimi[sz]e|mitigate|obtain|preserve|prevent|promote|protect|provide|reduce|"
    "restore|satisfy|support|test|validate|verify"
)
CIRCUMSTANCE = re.compile(
    r" (?P<cue>in order to|so that|because|since|by (?=\w+ing )|through|using|"
    rf"to (?=(?:\w+ly )?(?:{PURPOSE})\b)|{WHEN}) ?(?P<clause>\b\w.+)"
)
NUMBER = r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve)(?: \(\d+\))?"
UNIT = "(?:second|minute|hour|day|week|month|year)s?"
# How long, how often and by when: "must be kept for three years".
TIMES = {
    "how long": re.compile(rf" for (?:at least |at most |up to |about |approximately )?{NUMBER} {UNIT}\b"),
    "how often": re.compile(
        rf" (?:at least |about |approximately )?"
        rf"(?:every (?:{NUMBER} )?{UNIT}|(?:once|twice|{NUMBER} times) (?:an?|per|each|every) {UNIT}"
        r"|daily|weekly|monthly|quarterly|annually|yearly)$"
    ),
    "when": re.compile(rf" within {NUMBER} {UNIT}\b"),
}
# What may be a verb of the third person, or of the past; nouns and participles are among them.
DEED = re.compile(
    r"[a-z]{2,}(?:[^suio]s|ed)|began|came|found|gave|held|kept|led|made|met|sent|took|went|wrote"
)
NO_DEED = frozenset(
    "always as does has its less perhaps this was various need seed speed indeed based".split()
)
# With these behind it, it is one.
OBJECT = re.compile(
    r"(?:the|an?|its|their|his|her|all|any|each|every|both|no|one|how|whether|several|some|more|\d+)\b"
)
SAYS = re.compile(
    r"(?:say|state|show|indicate|note|notice|assume|suggest|impl|believe|find|argue|prove|recommend|determine|"
    r"conclude|discover|learn|decide|confirm)"
    r"(?:s|ies|d|ed) that\b"
)
# No noun looks like these.
ALWAYS = frozenset(
    "receives sends performs detects discovers notices sees takes makes gives brings begins asks tells "
    "decides determines concludes installs opens closes removes prepares submits obtains selects approves "
    "assigns".split()
)
# Behind one thing what looks like a plural is a verb: "a sensor records traffic".
ONE = re.compile(r"(?:an?|each|every|one)\b", re.IGNORECASE)
THIRD = re.compile(r"[a-z]{2,}[^suio]s")
# What shows that a subject comes: an occasion, or an article.
OCCASION = re.compile(r"(?:On|In|At|During|After|Before|For|By|From|Within) [^,;:]{3,60}, ")
LED = re.compile(r"(?:the|an?|each|every|most|many|some|all|any|both|several|another|one)\b", re.IGNORECASE)
# Another verb, outside of a clause within the sentence: then the word before was a noun.
INNER = "".join(
    f"(?<! {word})" for word in "that which who where what when if it they he she we you and".split()
)
FINITE = re.compile(rf"{INNER} (?:{MODAL}|is|are|was|were|has|have)\b")
ASKS = {
    "because": "why", "since": "why", "so that": "why", "in order to": "why", "to": "why",
    "by": "how", "through": "how", "using": "how", "until": "until when",
}  # fmt: skip
# Before these a clause belongs to the word, not to the sentence: "the need to act", "only when".
GOVERNING = frozenset(
    "a ability able about adequate agree allow allowed an and another appropriate are as ask asked "
    "assess at attempt authority be been being best by capability capable capacity case cases chance "
    "check choose chosen critical decide decision designed determine difficult easy effort efforts "
    "enough especially essential even except excepting expected fail failed failure for free from hard "
    "help how if important in infeasible instances insufficient intended into is just know likely means "
    "meant measures necessary need needed needs not obligation of on only opportunities opportunity or "
    "order other particularly permission permitted plan plans power prepared rather ready regardless "
    "related required requirement responsibility right save see seek sent situations steps such "
    "sufficient sure than that the time times too tools trained try unable unlikely unwilling use used "
    "useful verify want way ways what whether who willing wish with without work".split()
)
# Verbs that take a person and what this person is to do: "require the vendor to provide ...".
CAUSING = re.compile(
    r"\b(?:ask|allow|enabl|requir|instruct|direct|encourag|permit|train|want|expect|caus|help|prompt|urg|invit|"
    r"authori[sz]|tell|order|forc|need|attempt)(?:e|es|s|ing|ed)?\b"
)
PASSIVE = re.compile(r"\w+(?: \w+ly)* \w+ed(?: (?:and|or) \w+ed)?")
# Behind these a clause belongs to another within the sentence.
INDIRECT = re.compile(
    r"\b(?:which|whether|who|what|how|when|if|that|because|unless|until|while|before|after|once|where|than|since|"
    r"so|including|such as)\b"
)
NOUN = re.compile(r"(?:an?|the|any|one|those|part)\b")
STOP = (
    " (?:of|in|for|from|with|at|on|within|by|under|through|using|to|that|who|than|and|or|as|because|since|so|"
    f"{WHEN}) "
)
PLURAL = re.compile(
    r"\b(?!(?:always|sometimes|perhaps|towards|means)$)"
    r"(?:\w*[^\Wsui]s|people|staff|personnel|data|criteria|media|women|men|children|police)$"
)
HEAD = re.compile(
    r" (?:of|in|for|from|with|at|on|within|by|under|about|against|between|during|into|through|via|per) "
)
# What says what something is; words that only judge it are no definition: "Cost is a major factor".
DEFINED = re.compile(
    r"(?:an?|the|any|one of|those|part of|defined as)\b(?!(?: [\w-]+){0,4}? (?:factors?|problems?|issues?|"
    r"challenges?|considerations?|keys?|matter|options?|priority|concerns?|reasons?|best|most|examples?|results?|"
    r"causes?|same)\b)"
)
# Words of a predicate that may stand between a subject and its verb.
BETWEEN = re.compile(r"(?: (?:\w+ly|often|always|sometimes|never|now|either))+$")
Question = tuple[str, str]


def recast(sentence: str, common: Set[str]) -> list[Question]:
    """The (kind, question) pairs that the form of an English sentence gives, best guess first; often none.

    `common`: words that the document writes small, so that a sentence's first word is known not to be a name.
    """
    small = _decapitaliser(common)
    intro, _, items = sentence.partition(":\n")
    if len(intro) > LONGEST:
        return []
    if short := acronym(sentence):
        return [("definition", f"What does {short} stand for?")]
    body = RUN_IN.sub("", FILLER.sub("", ASIDE.sub("", " ".join(intro.split()))), count=1).strip(".!’”» ")
    if items:
        found = [("list", question) for question in _list(body, small)]
    else:
        found = [*_modal(body, small), *_entry(body), *_copula(body, small), *_action(body, small)]
        found = found or list(_deed(body))
    return list(dict.fromkeys((kind, _tidy(question)) for kind, question in found))


def acronym(row: str) -> str | None:
    """The acronym of a row such as "DNS | Domain Name System"; None where the long form lacks its letters."""
    match = ACRONYM.fullmatch(row)
    if not match:
        return None
    letters = [letter for letter in match["short"].lower() if letter.isalpha()]
    initials = re.findall(r"\b[a-z]", match["long"].lower())
    rest = iter(match["long"].lower())
    beginning = sum(letter in initials for letter in letters)  # most do: "XML | Extensible Markup Language"
    stands = all(letter in rest for letter in letters) and 2 * beginning >= len(letters) and len(initials) > 1
    return match["short"] if stands else None


def _tidy(question: str) -> str:
    text = re.sub(r"\s+([?,])", r"\1", " ".join(question.split()))
    return text[:1].upper() + text[1:]


def _decapitaliser(common: Set[str]) -> Callable[[str], str]:
    def small(text: str) -> str:
        first, blank, rest = text.partition(" ")
        following = rest.partition(" ")[0]
        # "Title 49" and "Chapter Two" are names, "The Two" and "Several FBI" are not.
        name = following[:1].isdigit() or (following.istitle() and not LED.match(first))
        return (first if name or first.lower() not in common else first.lower()) + blank + rest

    return small


def _clipped(predicate: str) -> str:
    text = AFTERTHOUGHT.split(predicate)[0]
    another = ANOTHER.search(text)
    if another and not INDIRECT.search(text[: another.start()]):
        text = text[: another.start()]
    return re.sub(r",? (?:including|such as|and|or)$", "", text.rstrip(" ,.:"))


def _names(subject: str) -> bool:
    return not CLAUSE.search(subject) and not NO_SUBJECT.match(subject)


def _head(subject: str) -> str:
    """What decides over who or what, and one or many: "most members of the team" gives "most members"."""
    return BETWEEN.sub("", re.sub(r" \([^()]*\)$", "", HEAD.split(subject)[0]))


def _who(subject: str) -> str:
    """Who for people, what for things."""
    head = _head(subject)
    act = re.match(r"\w+ing \S+ \S", head, re.IGNORECASE)  # "keeping remote users" is no person
    return "who" if PERSON.search(head) and not act else "what"


def _agrees(subject: str, third: bool) -> bool:
    """Whether a verb in the third person singular, or not in it, may have this subject."""
    head = _head(subject)
    if re.match(r"\w+ing\b", head, re.IGNORECASE):  # "Operating systems include", "Keeping records includes"
        return True
    return third != bool(" and " in head or PLURAL.search(head.lower()))


def _modal(body: str, small: Callable[[str], str]) -> Iterator[Question]:
    match = WITH_MODAL.match(body)
    if not match or not _names(match["subject"]):
        return
    subject, modal = small(match["subject"]), match["modal"]
    rest = _clipped(match["rest"].removeprefix("then "))
    lead = match["lead"] and match["lead"][0].lower() + match["lead"][1:]
    passive, person = rest.startswith("be "), _who(subject) == "who"
    acts = not passive and (person or SHORT.fullmatch(subject))
    if lead and acts:
        yield "fact", f"what {modal} {subject} do {lead}?"
    for kind, asked, head, clause in _circumstances(rest, passive):
        yield kind, f"{asked} {modal} {subject} {head}?"
        if acts and not lead and asked not in ("how", "until when") and clause:
            yield "fact", f"what {modal} {subject} do {clause}?"
    if not rest.startswith("be to ") and not (acts and not person):
        yield "fact", f"{lead + ', ' if lead else ''}{_who(subject)} {modal} {rest}?"


def _circumstances(rest: str, passive: bool) -> Iterator[tuple[str, str, str, str]]:
    """Kind, question word, predicate and clause wherever a predicate is followed by why, how or when."""
    for asked, form in TIMES.items():
        if (match := form.search(rest)) and not INDIRECT.search(rest[: match.start()]):
            yield "number", asked, rest[: match.start()], ""
    for match in re.finditer(rf"(?={CIRCUMSTANCE.pattern})", rest):
        head, cue, clause = rest[: match.start()].rstrip(","), match["cue"].strip(), match["clause"]
        if len(head.split()) < 2 or len(clause.split()) < 2 or _governed(head, cue, passive):
            continue
        if cue == "once" and re.match(r"(?:an?|per|each|every|more)\b", clause):
            continue
        asked = ASKS.get(cue, "when")
        yield "reason" if asked in ("why", "how") else "fact", asked, head, f"{cue} {clause}"


def _governed(head: str, cue: str, passive: bool) -> bool:
    """Whether what follows the predicate belongs to its last word or to a clause within it."""
    last = head.rpartition(" ")[2].lower()
    if last in GOVERNING or head.startswith("be to ") or (cue == "to" and CAUSING.search(head)):
        return True
    within = re.sub(r"\b(?:before|after|once)\b", "", head) if cue in ("to", "in order to") else head
    if INDIRECT.search(within) or FINITE.search(head.partition(" ")[2]):
        return True
    if last.endswith("ing") or (cue == "using" and not passive):  # "systems using ..."
        return True
    # "comments filed after ..."; but "be filed after ...", "be filed and answered after ..."
    return last.endswith("ed") and not (passive and PASSIVE.fullmatch(head))


def _entry(body: str) -> Iterator[Question]:
    """An entry of a glossary: "Malware: A virus, worm ..."."""
    if match := ENTRY.fullmatch(body):
        subject = match["subject"]
        if len(subject.split()) <= 6 and not LABEL.fullmatch(subject) and not FINITE.search(match["rest"]):
            yield "definition", f'what does "{subject}" mean?'


def _list(intro: str, small: Callable[[str], str]) -> Iterator[str]:
    """What the sentence before a list asks for: "A policy should include the following elements"."""
    if (match := WITH_MODAL.match(intro)) and _names(match["subject"]) and not match["lead"]:
        verb, following, _ = match["rest"].partition(" the following")
        if not verb.startswith("be ") and (following or len(verb.split()) == 1):
            yield f"what {match['modal']} {small(match['subject'])} {verb}?"
    elif match := LISTED.fullmatch(intro):
        what = match["what"] or match["that"]
        if not re.search(rf"\b(?:{MODAL})\b", what):
            yield f"what are {small(what)}?"
    elif (match := ACTION.match(intro)) and _names(match["subject"]):
        base = BASES[match["verb"]]
        if _agrees(match["subject"], match["verb"] != base):
            yield f"what {'do' if match['verb'] == base else 'does'} {small(match['subject'])} {base}?"


def _copula(body: str, small: Callable[[str], str]) -> Iterator[Question]:
    match = COPULA.match(body)
    if not match or not _names(match["subject"]):
        return
    subject, verb = small(match["subject"]), match["verb"]
    rest = _clipped(match["rest"].removeprefix("then "))
    both = SECOND.search(rest)
    if verb == "are" and both and not re.search(r" to [a-z]", rest[: both.start()]):
        rest = rest[: both.start()]
    if DEFINED.match(rest) and _is_term(subject):
        yield "definition", f"what {verb} {subject}?"
    # A question's "what" is one thing ("What is needed?"); a noun of many things does not go with it.
    if re.match(r"(?:to|for|any|those|\w+ing)\b|\S+$", rest) or (verb == "are" and _is_many(rest)):
        return
    # Behind a noun a clause may say more about the noun: "is any access by a user communicating through ...".
    for kind, asked, head, _ in [] if NOUN.match(rest) else _circumstances(f"{verb} {rest}", passive=True):
        yield kind, f"{asked} {verb} {subject} {head.removeprefix(verb)}?"
    yield "fact", f"{'who' if RESPONSIBLE.match(rest) else _who(subject)} is {rest}?"


def _is_many(complement: str) -> bool:
    """Whether a noun in the plural stands in the predicate: "temporary actions taken when ..."."""
    return any(PLURAL.search(word) for word in re.split(rf",|{STOP}", f" {complement}")[0].split()[:5])


def _is_term(subject: str) -> bool:
    """Whether a subject may be what is defined: no act, no one of several."""
    other = re.match(r"(?:\w+ing|one|another|some|most)\b", subject, re.IGNORECASE)
    return not other and len(subject.split()) <= 6


def _action(body: str, small: Callable[[str], str]) -> Iterator[Question]:
    match = ACTION.match(body)
    if not match or not _names(match["subject"]) or re.search(r"\b(?:for|and|or)$", match["subject"]):
        return
    subject, base, rest = small(match["subject"]), BASES[match["verb"]], _clipped(match["rest"])
    third = match["verb"] != base
    preposition = AT_WORD.match(rest)
    if not rest or not _agrees(subject, third) or (preposition and (base, preposition[0]) not in GOVERNED):
        return
    if base in NOUNS and not OBJECT.match(rest):
        return
    yield (
        KINDS.get(base, "fact"),
        f"what {'does' if third else 'do'} {subject} {base} {preposition[0] if preposition else ''}?",
    )
    if base not in HOLDING:
        yield "fact", f"{_who(subject)} {VERBS[base]} {rest}?"


def _deed(body: str) -> Iterator[Question]:
    """The subject of any other verb: "A user calls the help desk."."""
    lead = OCCASION.match(body)
    predicate = _clipped(body[lead.end() if lead else 0 :]).partition(" who ")[0]
    words = predicate.split()
    if FINITE.search(predicate) or not (lead or LED.match(predicate)):
        return
    for at in range(2, min(9, len(words) - 1)):
        subject, verb = " ".join(words[:at]), words[at]
        if not _names(subject) or subject.endswith((",", ")")):
            return
        if SHORT.fullmatch(subject) or (verb.endswith("s") and not _agrees(subject, third=True)):
            continue
        if _is_deed(verb, words[at + 1], ONE.match(subject) is not None):
            yield "fact", f"{_who(subject)} {' '.join(words[at:])}?"
            return


def _is_deed(word: str, following: str, singular: bool) -> bool:
    """Whether a word is a verb, by its form and by what stands around it."""
    if word in ALWAYS or (singular and THIRD.fullmatch(word) and word not in NO_DEED):
        return not AT_WORD.match(following)
    known = DEED.fullmatch(word) and word not in NO_DEED
    return bool(known and (OBJECT.match(following) or SAYS.match(f"{word} {following}")))
