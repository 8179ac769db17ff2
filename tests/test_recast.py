import time

import pytest

from stages.recast import acronym, recast

# The words that a document writes small beside those of the sentence itself.
COMMON = frozenset(
    "the a an before after if once teams users crews staff vessels reports rooms most common teamwork".split()
)


def asked(sentence: str, common: frozenset[str] = COMMON) -> list[str]:
    return [question for _, question in recast(sentence, common)]


def kinds(sentence: str) -> set[tuple[str, str]]:
    return set(recast(sentence, COMMON))


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        # Who and what, before a modal verb.
        (
            "Every team member should have good problem solving skills.",
            "Who should have good problem solving skills?",
        ),
        ("The valve must be closed with both hands.", "What must be closed with both hands?"),
        (
            "The checklist will remind the crew of the last step.",
            "What will remind the crew of the last step?",
        ),
        ("Users of the old system may ask for help.", "Who may ask for help?"),
        # When, until when, why and how.
        (
            "The team must tell the owner before a host is cut off.",
            "When must the team tell the owner?",
        ),
        (
            "The logs should be kept safe until the case is closed.",
            "Until when should the logs be kept safe?",
        ),
        (
            "The pumps must be switched off because heat makes the resin set.",
            "Why must the pumps be switched off?",
        ),
        ("The crew should wear dark gloves to protect the paint.", "Why should the crew wear dark gloves?"),
        ("Rooms may be cooled quickly by opening all the valves.", "How may rooms be cooled quickly?"),
        ("Vessels are inspected twice because salt eats the hull.", "Why are vessels inspected twice?"),
        # Any other verb, where an article shows that the subject is one thing.
        (
            "On a Tuesday night, a flow sensor records traffic of unknown origin.",
            "What records traffic of unknown origin?",
        ),
        (
            "The organization’s help desk receives calls from three users who are cut off.",
            "Who receives calls from three users?",
        ),
        # What somebody does.
        (
            "Teams should rotate members to reduce their stress.",
            "What should teams do to reduce their stress?",
        ),
        ("If the alarm fails, the crew must leave the ship.", "What must the crew do if the alarm fails?"),
        (
            "Once a pump leaks, then the crew must close the valve.",
            "What must the crew do once a pump leaks?",
        ),
        (
            "If the alarm fails, the doors must be opened by hand.",
            "If the alarm fails, what must be opened by hand?",
        ),
        # Numbers.
        ("The records must be kept for three years after the audit.", "How long must the records be kept?"),
        ("The lifeboats must be inspected every four weeks.", "How often must the lifeboats be inspected?"),
        ("An appeal must be filed within 30 days of the notice.", "When must an appeal be filed?"),
        # What something is.
        ("An event is any observable occurrence in a system.", "What is an event?"),
        ("A virus is a program that does harm.", "What is a virus?"),
        ("Staff are responsible for their own keys.", "Who is responsible for their own keys?"),
        # Entries and rows.
        ("Malware: A virus, worm or Trojan horse that infects a host.", 'What does "Malware" mean?'),
        ("DNS | Domain Name System", "What does DNS stand for?"),
        ("US-CERT | United States Computer Emergency Readiness Team", "What does US-CERT stand for?"),
        # Verbs that take an object.
        ("Federal law requires agencies to report each breach.", "What does Federal law require?"),
        ("Most reports depend on the weather of the day.", "What do most reports depend on?"),
        ("The law limits the size of a vessel.", "What limits the size of a vessel?"),
        # Any other verb.
        ("The organization prohibits the use of old keys.", "Who prohibits the use of old keys?"),
        ("A host records an auditing change in its log.", "What records an auditing change in its log?"),
        # Lists.
        (
            "The plan should include the following elements:\n- Mission\n- Goals",
            "What should the plan include?",
        ),
        ("Teams should work with the following groups:\n- Police\n- Press", "What should teams work with?"),
        ("Common attack vectors include the following:\n- Web\n- Email", "What are common attack vectors?"),
        ("The following are signs of an attack:\n- Noise\n- Delay", "What are signs of an attack?"),
        ("A report contains:\n- the date\n- the name", "What does a report contain?"),
    ],
)
def test_a_form_gives_its_question(sentence: str, question: str) -> None:
    assert question in asked(sentence)


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        # A clause that belongs to a word of the predicate, not to the sentence.
        ("The team must explain the need to protect all records.", "Why must the team explain the need?"),
        ("The owner should know when a host was cut off.", "When should the owner know?"),
        (
            "The agency will read all comments filed before the closing date.",
            "When will the agency read all comments filed?",
        ),
        ("The team must ask the vendor to provide a patch.", "Why must the team ask the vendor?"),
        (
            "Members should have skills in addition to technical expertise.",
            "Why should members have skills in addition?",
        ),
        ("Pumps may be run dry only when the crew is near.", "When may pumps be run dry only?"),
        # An exception asked as the rule.
        (
            "The owner must approve each repair, except when the ship is in danger.",
            "What must the owner do when the ship is in danger?",
        ),
        ("Hosts should be cut off except if the owner objects.", "When should hosts be cut off except?"),
        (
            "The list can be checked to determine if a pump leaks.",
            "When can the list be checked to determine?",
        ),
        # A negation is not lost.
        (
            "No handler will have a full knowledge of all systems.",
            "Who will have a full knowledge of all systems?",
        ),
        ("The crew must not leave the ship.", "Who must leave the ship?"),
        # A noun is no verb.
        ("A reporting limit can be raised for each sample.", "What do a reporting limit?"),
        ("The new equipment list was approved by the board.", "What does the new equipment list?"),
        ("The incident response teams in the field rest.", "What teams in the field rest?"),
        (
            "The updated software would also compare the inputs from both sides.",
            "What inputs from both sides?",
        ),
        # An order, or a circumstance, is no subject.
        ("Update the list of owners that the plan requires.", "What requires?"),
        (
            "Give team members opportunities to rest and to learn.",
            "Who members opportunities to rest and to learn?",
        ),
        ("After the samples are taken, they are cooled at once.", "What is taken?"),
        # One and many.
        (
            "Session locks are temporary actions taken when users stop.",
            "What is temporary actions taken when users stop?",
        ),
        # What only judges is no definition.
        ("Cost is a major factor in each choice of pumps.", "What is cost?"),
        # A label and a row that is none of a table of acronyms.
        ("SUMMARY: The agency proposes a new rule for pumps.", 'What does "SUMMARY" mean?'),
        ("IDPSs | IDPS products identify suspicious events.", "What does IDPSs stand for?"),
        # A list whose introduction has a modal verb.
        ("Making a plan should include the following:\n- a\n- b", "What are making a plan should?"),
    ],
)
def test_a_form_is_not_misread(sentence: str, wrong: str) -> None:
    assert wrong not in asked(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "It should be closed before the night.",  # whose subject says nothing
        "There are three kinds of pumps on board.",
        "What the crew does must be written down.",
        "Ensure equipment is clean before each use.",
        "Close all the valves of the ship at night.",
        "Because of the heat the resin must be cooled.",
        "Run!",
        "",
    ],
)
def test_where_no_form_fits_nothing_is_asked(sentence: str) -> None:
    assert recast(sentence, COMMON) == []


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        # An afterthought goes, an aside goes, and what is behind it stays.
        ("The team should keep notes, which are read later.", "Who should keep notes?"),
        ("Users must change all keys (e.g., pass phrases) each year.", "Who must change all keys each year?"),
        ("Users must know that parties, such as vendors, may call.", "Who must know that parties may call?"),
        ("The team may act and the board may object.", "Who may act?"),
        (
            "Users must tell the team if pumps and valves are lost.",
            "Who must tell the team if pumps and valves are lost?",
        ),
        ("Handlers must log not only facts but also doubts.", "Who must log not only facts but also doubts?"),
        # A heading that runs into the sentence.
        ("Set spike — The set spike is stored in the cold room.", "What is stored in the cold room?"),
    ],
)
def test_a_predicate_is_cut_where_it_ends(sentence: str, question: str) -> None:
    assert question in asked(sentence)


def test_capitals_stand_only_where_names_do() -> None:
    sentence = "Teamwork skills are of great value because help is needed."
    assert "Why are teamwork skills of great value?" in asked(sentence)
    assert "Why are Teamwork skills of great value?" in asked(sentence, frozenset())
    sentence = "Once an agency has a plan, the agency must test it."
    assert "What must the agency do once an agency has a plan?" in asked(sentence, frozenset({"the"}))
    sentence = "Title 49 of the Code requires a permit for each flight."
    assert "What does Title 49 of the Code require?" in asked(sentence, frozenset({"title"}))


def test_of_a_name_nobody_knows_whether_it_is_who_or_what() -> None:
    assert asked("Boeing will test all wings before the first flight.", frozenset()) == [
        "When will Boeing test all wings?",
        "What will Boeing do before the first flight?",
    ]


def test_kinds_follow_the_question() -> None:
    assert ("reason", "Why must the pumps be switched off?") in kinds(
        "The pumps must be switched off because heat makes the resin set."
    )
    assert ("fact", "When must the team tell the owner?") in kinds(
        "The team must tell the owner before a host is cut off."
    )
    assert ("number", "How long must the records be kept?") in kinds(
        "The records must be kept for three years."
    )
    assert ("definition", "What is an event?") in kinds("An event is any occurrence in a system.")
    assert ("definition", "What does DNS stand for?") in kinds("DNS | Domain Name System")
    assert ("list", "What does a plan include?") in kinds(
        "A plan includes the mission and the goals of a team."
    )
    assert ("list", "What should the plan include?") in kinds(
        "The plan should include the following:\n- a\n- b"
    )


def test_questions_are_whole_and_stand_once() -> None:
    for sentence in (
        "The team must tell the owner, the press, and the police before a host is cut off to stop rumours.",
        "If the alarm fails, the crew must leave the ship because smoke kills within 3 minutes.",
    ):
        questions = asked(sentence)
        assert questions
        assert len(set(questions)) == len(questions)
        assert all(q[0].isupper() and q.endswith("?") and "  " not in q and " ?" not in q for q in questions)


@pytest.mark.parametrize(
    ("row", "short"),
    [
        ("DNS | Domain Name System", "DNS"),
        ("DoS | Denial of Service", "DoS"),
        ("XML | Extensible Markup Language", "XML"),
        ("DNS | Some Other Thing", None),
        ("FAMILY | FAMILY", None),
        ("DNS | Domain Name System | 3", None),
        ("Pump | Pressure Unit", None),
        ("Domain Name System", None),
    ],
)
def test_a_row_is_of_acronyms_where_the_letters_agree(row: str, short: str | None) -> None:
    assert acronym(row) == short


PIECES = [
    "a ",
    "if, ",
    "if a, ",
    "the team must ",
    "(e.g. ",
    ", and ",
    "and x ",
    " to ensure ",
    "A | B",
    "— ",
    "aA|",
    "A: A ",
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("length", [790, 4000])
def test_hostile_sentences_take_no_time(piece: str, length: int) -> None:
    text = (piece * length)[:length]
    begun = time.perf_counter()
    for sentence in (text, f"The team must {text}", f"The plan is {text}", f"{text}:\n- a\n- b"):
        recast(sentence, COMMON)
    assert time.perf_counter() - begun < 0.8
