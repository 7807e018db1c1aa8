"""Photos whose label is wrong in the collection itself.

Found among the candidates of `label-errors`, and judged by eye: the photo does not show the flower
of its class, or another class fits better. Photos with several flowers, of which one has the class,
are not listed.
"""

from __future__ import annotations

WRONG_ORIGINALS = {
    "flowers": {
        "daisy/34266042310_9c1abd8e11_n.jpg": "twigs of a tree",
        "daisy/34266044490_01dacd2ac2_n.jpg": "a dandelion",
        "rose/2535466143_5823e48b63.jpg": "a lotus",
        "rose/2535466393_6556afeb2f_m.jpg": "the bud of a lotus",
        "rose/18486146942_e09ecd0e25_n.jpg": "a meadow with white flowers",
        "rose/8775267816_726ddc6d92_n.jpg": "a chrysanthemum",
        "tulip/16680998737_6f6225fe36.jpg": "a building in a park",
        "tulip/4522764992_e9d70b82c1_m.jpg": "an iris",
    },
}
"""The content of each photo, by the folder of the photos and by key."""
