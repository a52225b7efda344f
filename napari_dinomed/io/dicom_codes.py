"""Codes of SNOMED CT for what labels are called, as DICOM asks for with each segment.

Only names that leave no doubt have one; all others are "Tissue", which is true of each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# By pydicom's names of them, which are those of DICOM PS3.16.
_STRUCTURES = {
    "aorta": "Aorta",
    "bladder": "Bladder",
    "brain": "Brain",
    "brain stem": "BrainStem",
    "brainstem": "BrainStem",
    "colon": "Colon",
    "duodenum": "Duodenum",
    "esophagus": "Esophagus",
    "gallbladder": "Gallbladder",
    "heart": "Heart",
    "inferior vena cava": "InferiorVenaCava",
    "larynx": "Larynx",
    "liver": "Liver",
    "mandible": "Mandible",
    "oesophagus": "Esophagus",
    "optic chiasm": "OpticChiasm",
    "pancreas": "Pancreas",
    "portal vein": "PortalVein",
    "prostate": "Prostate",
    "rectum": "Rectum",
    "spinal cord": "SpinalCord",
    "spleen": "Spleen",
    "stomach": "Stomach",
    "thyroid": "Thyroid",
    "trachea": "Trachea",
    "urinary bladder": "Bladder",
}
# Of these there are two.
_PAIRED = {
    "adrenal gland": "AdrenalGland",
    "eye": "Eye",
    "hippocampus": "Hippocampus",
    "kidney": "Kidney",
    "lung": "Lung",
    "parotid": "ParotidGland",
    "parotid gland": "ParotidGland",
    "submandibular gland": "SubmandibularGland",
}
_ABNORMAL = {
    "edema": "Edema",
    "necrosis": "Necrosis",
    "neoplasm": "Neoplasm",
    "oedema": "Edema",
    "tumor": "Neoplasm",
    "tumour": "Neoplasm",
}
_SIDES = {"left": "Left", "l": "Left", "right": "Right", "r": "Right"}


@dataclass(frozen=True)
class SegmentCodes:
    """What a segment is: codes of its category, its type, and its side, if any."""

    category: Any
    type: Any
    side: Any = None


def codes_for(name: str) -> SegmentCodes:
    """The codes of a label by its name, as in "Kidney (left)", "parotid_R" or "liver"."""
    from pydicom.sr.codedict import codes

    words = re.findall(r"[^\W\d_]+", name.lower())
    sides = {_SIDES[word] for word in words if word in _SIDES}
    plain = " ".join(word for word in words if word not in _SIDES)
    found = _STRUCTURES.get(plain) if not sides else None
    found = found or (_PAIRED.get(plain) if len(sides) < 2 else None)
    if re.search(r"\d", name):
        # "Liver 2" is a part of it, or something else.
        found = None
    if found is not None:
        side = getattr(codes.SCT, sides.pop()) if sides else None
        return SegmentCodes(codes.SCT.AnatomicalStructure, getattr(codes.SCT, found), side)
    if plain in _ABNORMAL and not sides:
        abnormal = getattr(codes.SCT, _ABNORMAL[plain])
        return SegmentCodes(codes.SCT.MorphologicallyAbnormalStructure, abnormal)
    return SegmentCodes(codes.SCT.Tissue, codes.SCT.Tissue)
