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
    r"citizens?|crews?|authorit(?:y|ies)|agents?|experts?|professionals?|responders?|investigators?|auditors?|"
    r"developers?|executives?|applicants?|commission(?:er)?s?|congress|council|ministers?|president|partners?|"
    r"victims?|participants?|licensees?|government|institutions?|part(?:y|ies)|outsourcers?|laborator(?:y|ies)|"
    r"women|men|children|parents?|[a-z]*(?:log|ic|em|rap|ent|ec[i]al|rnal|nom|mac|dent)ists?)$",
    re.IGNORECASE,
)
RESPONSIBLE = re.compile(r"(?:\w+ly )?(?:responsible|accountable|liable|authori[sz]ed|entitled|obliged) ")
# A subject with one of these is a clause, a pronoun or a negation, not a name for something.
CLAUSE = re.compile(
    rf"\b(?:{MODAL}|that|which|who|whose|if|when|where|it|they|there|this|these|those|he|she|we|you|nothing|not|nor|"
    r"because|but|however|such|is|are|was|were|be|has|have|had|following|above|below|to|examples?)\b|[—–] ",
    re.IGNORECASE,
)
# What begins so is no subject but a circumstance, or an order: "Update the list of owners ...".
NO_SUBJECT = re.compile(
    r"(?:after|before|since|although|though|while|in|on|at|for|by|with|during|if|as|from|until|upon|within|under|"
    r"once|given|of|per|through|without|despite|unlike|like|among|between|depending|via|and|or|so|please)\b|"
    r"(?!(?:all|both|half|only|many|what|\w+ing)\b)\w+ (?:the|an?|all|any|each|every|your|its|their)\b",
    re.IGNORECASE,
)
# Words that tie a sentence to the one before it and say nothing of their own.
FILLER = re.compile(
    r"(?<!but )(?<!since )\b"
    r"(?:also|therefore|however|then|thus|generally|typically|usually|furthermore|additionally)\b ?"
)
# A heading that runs into its text: "Set spike — The set spike is ...".
RUN_IN = re.compile(r"[A-Z][^.:—–]{2,80} [—–] (?=[A-Z])")
SUBJECT = r"(?P<subject>(?:[^\s,;:()]+ ){0,8}?[^\s,;:()]+(?: \([^()]{2,12}\))?)"
WHEN = "when|if|before|after|once|until|during|while|whenever|as soon as"
LEAD = rf"(?:(?P<lead>(?i:{WHEN}|unless)\b[^,;:]{{3,120}}), )?"
WITH_MODAL = re.compile(rf"{LEAD}{SUBJECT} (?P<modal>{MODAL}) (?P<rest>(?!not\b).+)")
COPULA = re.compile(rf"{SUBJECT} (?P<verb>is|are) (?P<rest>(?!not\b).+)")
ENTRY = re.compile(r"(?P<subject>[A-Z0-9][^:.;]{1,60}): (?P<rest>(?:An?|The|Any|One) .+)")
# A label in capitals, as in "SUMMARY: The agency proposes ...", names no term.
LABEL = re.compile(r"[A-Z ]{6,}")
ACRONYM = re.compile(
    r"(?P<subject>(?=(?:[^|]{0,10}[A-Z]){2})[A-Za-z][\w&/.-]{1,11}) \| (?P<rest>[A-Z][^|]*[a-z][^|]*)"
)
# A subject that is an acronym alone may be an agency or a device: who, or what?
SHORT = re.compile(r"(?:[Tt]he )?\w*[A-Z]\w*[A-Z]\w*")
# What stands before a list of items.
LISTED = re.compile(
    r"The following are (?P<what>[^,;:]{8,})|"
    r"(?P<that>[^,;:]{8,}?) (?:are|include) (?:the following|as follows|listed below)[^,;:]{0,20}"
)
# Verbs that take what they are asked about as their object, with their third person.
VERBS = {
    "include": "includes", "provide": "provides", "require": "requires", "describe": "describes",
    "define": "defines", "specify": "specifies", "involve": "involves", "contain": "contains", "mean": "means",
    "refer": "refers", "identify": "identifies", "establish": "establishes", "cause": "causes",
    "allow": "allows", "enable": "enables", "offer": "offers", "support": "supports", "depend": "depends",
    "consist": "consists", "prevent": "prevents", "cover": "covers", "list": "lists", "explain": "explains",
    "ensure": "ensures", "reduce": "reduces", "increase": "increases", "limit": "limits",
}  # fmt: skip
BASES = {form: base for base, third in VERBS.items() for form in (base, third)}
ACTION = re.compile(rf"{SUBJECT} (?P<verb>{'|'.join(BASES)}) (?P<rest>.+)")
# Where a predicate ends that is to be repeated in a question.
AFTERTHOUGHT = re.compile(
    r"\s*;\s*|\s+[—–]\s*|(?<!\d)[—–]|"
    r",? (?:(?:in|of|for|to|with|by|on|at|from|under|through|during) )?which\b|"
    r", (?:who|so|but|because|since|as|although|though|where|whereas|while|such as|including|for example|"
    rf"and (?:the|it|they|{MODAL}))\b|\s*\((?:e\.g\.|i\.e\.|see|for example)|: "
)
# "To" tells why before these alone; before other verbs it more often belongs to the word in front of it.
PURPOSE = (
    "achieve|address|allow|assess|avoid|check|comply|confirm|coordinate|demonstrate|detect|determine|eliminate|enable|"
    "encourage|enhance|ensure|establish|evaluate|facilitate|gain|guard|help|identify|improve|increase|keep|limit|"
    "maintain|make|maximi[sz]e|meet|minimi[sz]e|mitigate|obtain|preserve|prevent|promote|protect|provide|reduce|"
    "restore|satisfy|support|test|validate|verify"
)
CIRCUMSTANCE = re.compile(
    r" (?P<cue>in order to|so that|because|since|by (?=\w+ing )|through|using|"
    rf"to (?=(?:\w+ly )?(?:{PURPOSE})\b)|{WHEN}) (?P<clause>\w.+)".replace(" )?", " )?")
)
