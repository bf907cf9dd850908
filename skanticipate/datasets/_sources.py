"""Public annotation files: where they are, pinned to a commit, and their hashes."""

_RULSTM = "fpv-iplab/rulstm/e648c7ee40a1a71381bfaa7563f2e8a6935275ab/RULSTM/data"
_EPIC55 = (
    "epic-kitchens/epic-kitchens-55-annotations/"
    "63fa7d78eba41a8d2280374061a6b1bab3e7e41d"
)
_EPIC100 = (
    "epic-kitchens/epic-kitchens-100-annotations/"
    "ea8b40457a400c3fffa1c7f406ef3dc169cc2522"
)

HOST = "https://raw.githubusercontent.com"

# data set -> file name -> (address below the host, SHA-256)
FILES = {
    "epic55": {
        "training.csv": (
            f"{_RULSTM}/ek55/training.csv",
            "180911414558780dafed4bc099475ccd7b3ca97b20fff21aff30acd75332b987",
        ),
        "validation.csv": (
            f"{_RULSTM}/ek55/validation.csv",
            "8c0cf896bb7c146c697d04cedca96d2ca8a59fb8a8f864de08527dd60e203e9c",
        ),
        "actions.csv": (
            f"{_RULSTM}/ek55/actions.csv",
            "463900a3c7c6035063d593c0d9938816e1d8054b91f98e6ea0e1296666791c72",
        ),
        "EPIC_verb_classes.csv": (
            f"{_EPIC55}/EPIC_verb_classes.csv",
            "27a362ede55ebbc8a05024bd6ae3382d2e12ed22b94a33e2870b3b82e40e6a22",
        ),
        "EPIC_noun_classes.csv": (
            f"{_EPIC55}/EPIC_noun_classes.csv",
            "f38d4627abe890ab5e0383b28e50be1f4c5000966ed2e081b98f9b69e93a5d54",
        ),
        "EPIC_many_shot_verbs.csv": (
            f"{_EPIC55}/EPIC_many_shot_verbs.csv",
            "fae037c9b392f1998934e1cb0a1273152325834cf0c136e971b45c0f34fff759",
        ),
        "EPIC_many_shot_nouns.csv": (
            f"{_EPIC55}/EPIC_many_shot_nouns.csv",
            "30ae015aa2371658d0da0fdbb03bba4489792779ae180eb0f468de85823db4bf",
        ),
    },
    "epic100": {
        "training.csv": (
            f"{_RULSTM}/ek100/training.csv",
            "7ee111f972b32c87a4f94d1953caf024f5661fadba0ce38a979181a3e47c5d6a",
        ),
        "validation.csv": (
            f"{_RULSTM}/ek100/validation.csv",
            "95d01dbd75bfc30c20c311cb38b1ba0a35713ac5d38cf1ae6e67ac78ca01f6fa",
        ),
        "actions.csv": (
            f"{_RULSTM}/ek100/actions.csv",
            "73bdebfca7d33052f02b27930dbb2330e8a945ca53d8e2622ab859f7455449d5",
        ),
        "EPIC_100_verb_classes.csv": (
            f"{_EPIC100}/EPIC_100_verb_classes.csv",
            "aab8bf210d0234b6facb9b191ae402c03a5f8965d123586b4762d3468a85033e",
        ),
        "EPIC_100_noun_classes.csv": (
            f"{_EPIC100}/EPIC_100_noun_classes.csv",
            "40f0a81c5bd06b33050df9f0bd17cd3c2fccd759f9581e4e5e04fec7562be893",
        ),
        "EPIC_100_tail_verbs.csv": (
            f"{_EPIC100}/EPIC_100_tail_verbs.csv",
            "6f124f23759b2bfaa742e071619d78a08b5d2f80147db9919c612c72c9774c94",
        ),
        "EPIC_100_tail_nouns.csv": (
            f"{_EPIC100}/EPIC_100_tail_nouns.csv",
            "62e3449a7a95fdcb43bc2eaa52a191844f4a566ff1178d2c867b0c0822387266",
        ),
    },
    "egtea": {
        "training1.csv": (
            f"{_RULSTM}/egtea/training1.csv",
            "746f56105f9a39378f8be99bba0a8ec4eefcda148bfc35b346fddc74af113cec",
        ),
        "validation1.csv": (
            f"{_RULSTM}/egtea/validation1.csv",
            "4f6085bc4f5b7057cc7e8c8872a3958839110fb692d0d0add67afe8f37dbd59f",
        ),
        "training2.csv": (
            f"{_RULSTM}/egtea/training2.csv",
            "c788d22bb8fb380feb1301e38bbfcb709038ab538d4346f2fcabc379607e543f",
        ),
        "validation2.csv": (
            f"{_RULSTM}/egtea/validation2.csv",
            "64882cda48c62939d8a3db3960ea0a7ef451920197b509cd600b36adcbe42578",
        ),
        "training3.csv": (
            f"{_RULSTM}/egtea/training3.csv",
            "460065cab8e2773ce92f6a0c6f01065a6a362474debf4222b2a5fcb84e9fe5ab",
        ),
        "validation3.csv": (
            f"{_RULSTM}/egtea/validation3.csv",
            "4151caf97d49dfa1310fa4bed31e53a22aafc534103803975d44fbed7b1eec8b",
        ),
        "actions.csv": (
            f"{_RULSTM}/egtea/actions.csv",
            "dd401aef7ac2378f8af5d1b42914e7e9a389871b3fe9c7db1029c6280cd0100e",
        ),
    },
}

DESCRIPTIONS = {
    "epic55": """\
EPIC-KITCHENS-55, action segments

Annotated action segments of unscripted kitchen videos, seen from the head. The
public training set is split by video as RULSTM does: 23,493 training segments of
232 videos, 4,979 validation segments of 40 others. 125 verbs, 352 nouns, 2,513
actions (pairs that occur). Frame numbers are at 30 frames per second, after the
conversion of all videos that RULSTM describes; the official annotations count in
60. Segments of a video may overlap.

Licence: CC BY-NC 4.0 (annotations).
Cite: Damen et al., "Scaling Egocentric Vision: The EPIC-KITCHENS Dataset", ECCV
2018; for the split Furnari and Farinella, "What Would You Expect?", ICCV 2019.
""",
    "epic100": """\
EPIC-KITCHENS-100, action segments

Annotated action segments of unscripted kitchen videos, seen from the head: 67,217
training segments of 495 videos and 9,668 validation segments. 97 verbs, 300 nouns,
3,806 actions (pairs that occur). Frame numbers are at 30 frames per second, after
the conversion of all videos that RULSTM describes. Segments of a video may overlap.

Licence: CC BY-NC 4.0 (annotations).
Cite: Damen et al., "Rescaling Egocentric Vision: Collection, Pipeline and Challenges
for EPIC-KITCHENS-100", IJCV 2022.
""",
    "egtea": """\
EGTEA Gaze+, action segments

Annotated action segments of seven meals cooked in one kitchen, seen from the head,
in three splits by clip: training and validation share videos. 19 verbs, 51 nouns,
106 actions. The source does not state the frame rate; 30 frames per second agrees
with the published total length of 28 hours.

Licence: none stated by the repository; EGTEA Gaze+ is distributed for research.
Cite: Li, Liu and Rehg, "In the Eye of Beholder: Joint Learning of Gaze and Actions
in First Person Video", ECCV 2018.
""",
}
