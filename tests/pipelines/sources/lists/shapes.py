"""Imitations of public lists, with made-up rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq


class Imitation(NamedTuple):
    """A source with a list, and what it says.

    Attributes:
        lists: the content of the lists, by path below the source; the first is the value of
            `--list`, unless `convert` finds it by its name, `metadata` or `_classes`.
        images: the keys of the images.
        labels: the class of each image; images without one are not in the list, or are rejected.
        splits: the split of each image that has one.
        options: the options that this list needs.
        hint: what the message says if they are missing.
    """

    lists: Mapping[str, bytes]
    images: Sequence[str]
    labels: Mapping[str, str]
    splits: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    hint: str = ""


def table(*rows: Sequence[object], delimiter: str = ",", **options: Any) -> bytes:
    """Return a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, **options).writerows(rows)
    return text.getvalue().encode()


def lines(*rows: Mapping[str, object]) -> bytes:
    """Return JSON lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(columns: Mapping[str, Sequence[object]]) -> bytes:
    """Return a Parquet file."""
    content = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), content)
    return content.getvalue()


def _task(image: str, *choices: str) -> dict[str, object]:
    result = {"type": "choices", "from_name": "c", "value": {"choices": list(choices)}}
    return {
        "id": 1,
        "data": {"image": image},
        "annotations": [{"id": 2, "was_cancelled": False, "result": [result]}],
        "predictions": [],
    }


IMITATIONS: dict[str, Imitation] = {
    "kaggle-aptos": Imitation(
        {"train.csv": table(["id_code", "diagnosis"], ["0a", 2], ["0b", 4], ["0c", 0])},
        ["train_images/0a.png", "train_images/0b.png", "train_images/0c.png", "test_images/0d.png"],
        {"train_images/0a.png": "2", "train_images/0b.png": "4", "train_images/0c.png": "0"},
    ),
    "kaggle-cassava": Imitation(
        {"train.csv": table(["image_id", "label"], ["10.jpg", 0], ["11.jpg", 3])},
        ["train_images/10.jpg", "train_images/11.jpg", "test_images/12.jpg"],
        {"train_images/10.jpg": "0", "train_images/11.jpg": "3"},
    ),
    "kaggle-dog-breed": Imitation(
        {"labels.csv": table(["id", "breed"], ["00ff", "boston_bull"], ["00fe", "dingo"])},
        ["train/00ff.jpg", "train/00fe.jpg", "test/00fd.jpg"],
        {"train/00ff.jpg": "boston_bull", "train/00fe.jpg": "dingo"},
    ),
    "kaggle-plant-pathology": Imitation(
        {
            "train.csv": table(
                ["image_id", "healthy", "multiple_diseases", "rust", "scab"],
                ["Train_0", 0, 0, 0, 1],
                ["Train_1", 0, 1, 0, 0],
                ["Train_2", 1, 0, 0, 0],
            )
        },
        [f"images/{name}.jpg" for name in ("Train_0", "Train_1", "Train_2", "Test_0")],
        {
            "images/Train_0.jpg": "scab",
            "images/Train_1.jpg": "multiple_diseases",
            "images/Train_2.jpg": "healthy",
        },
    ),
    "ham10000": Imitation(
        {
            "HAM10000_metadata.csv": table(
                ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"],
                ["HAM_1", "ISIC_27419", "bkl", "histo", 80.0, "male", "scalp"],
                ["HAM_1", "ISIC_25030", "nv", "histo", "", "female", "back"],
            )
        },
        ["HAM10000_images_part_1/ISIC_27419.jpg", "HAM10000_images_part_2/ISIC_25030.jpg"],
        {
            "HAM10000_images_part_1/ISIC_27419.jpg": "bkl",
            "HAM10000_images_part_2/ISIC_25030.jpg": "nv",
        },
    ),
    "isic-2019": Imitation(
        {
            "ISIC_2019_Training_GroundTruth.csv": table(
                ["image", "MEL", "NV", "BCC", "UNK"],
                ["ISIC_0", 0.0, 1.0, 0.0, 0.0],
                ["ISIC_1", 1.0, 0.0, 0.0, 0.0],
            )
        },
        ["ISIC_2019_Training_Input/ISIC_0.jpg", "ISIC_2019_Training_Input/ISIC_1.jpg"],
        {
            "ISIC_2019_Training_Input/ISIC_0.jpg": "NV",
            "ISIC_2019_Training_Input/ISIC_1.jpg": "MEL",
        },
    ),
    "isic-2020": Imitation(
        {
            "train.csv": table(
                ["image_name", "patient_id", "sex", "diagnosis", "benign_malignant", "target"],
                ["ISIC_0", "IP_1", "male", "unknown", "benign", 0],
                ["ISIC_1", "IP_2", "female", "melanoma", "malignant", 1],
            )
        },
        ["jpeg/train/ISIC_0.jpg", "jpeg/train/ISIC_1.jpg", "jpeg/test/ISIC_2.jpg"],
        {"jpeg/train/ISIC_0.jpg": "benign", "jpeg/train/ISIC_1.jpg": "malignant"},
        options={"label_column": "benign_malignant"},
        hint="--label-column diagnosis or --label-column target",
    ),
    "automl": Imitation(
        {
            "all.csv": table(
                ["TRAIN", "memory://bucket/flowers/daisy/1.jpg", "daisy"],
                ["VALIDATION", "memory://bucket/flowers/rose/2.jpg", "rose"],
                ["TEST", "memory://bucket/flowers/rose/3.jpg", "rose"],
                ["UNASSIGNED", "memory://bucket/flowers/rose/4.jpg", "rose"],
            )
        },
        ["daisy/1.jpg", "rose/2.jpg", "rose/3.jpg", "rose/4.jpg"],
        {"daisy/1.jpg": "daisy", **{f"rose/{number}.jpg": "rose" for number in (2, 3, 4)}},
        {"daisy/1.jpg": "train", "rose/2.jpg": "validation", "rose/3.jpg": "test"},
    ),
    "automl-unassigned": Imitation(
        {
            "all.csv": table(
                ["UNASSIGNED", "memory://bucket/flowers/1.jpg", "daisy"],
                ["UNASSIGNED", "memory://bucket/flowers/2.jpg", "rose"],
            )
        },
        ["1.jpg", "2.jpg"],
        {"1.jpg": "daisy", "2.jpg": "rose"},
    ),
    "tfrecorder": Imitation(
        {
            "data.csv": table(
                ["split", "image_uri", "label"],
                ["TRAIN", "/absolute/cat/1.jpg", "cat"],
                ["TEST", "/absolute/dog/2.jpg", "dog"],
            )
        },
        ["cat/1.jpg", "dog/2.jpg"],
        {"cat/1.jpg": "cat", "dog/2.jpg": "dog"},
        {"cat/1.jpg": "train", "dog/2.jpg": "test"},
    ),
    "roboflow": Imitation(
        {"_classes.csv": b"filename, Bus, Car\na_jpg.rf.01.jpg, 0, 1\nb_jpg.rf.02.jpg, 1, 0\n"},
        ["a_jpg.rf.01.jpg", "b_jpg.rf.02.jpg"],
        {"a_jpg.rf.01.jpg": "Car", "b_jpg.rf.02.jpg": "Bus"},
    ),
    "roboflow-splits": Imitation(
        {
            "train/_classes.csv": b"filename, Bus, Car\na.jpg, 0, 1\nb.jpg, 1, 0\n",
            "valid/_classes.csv": b"filename, Bus, Car\na.jpg, 0, 1\n",
            "test/_classes.csv": b"filename, Bus, Car\nc.jpg, 1, 0\n",
        },
        ["train/a.jpg", "train/b.jpg", "valid/a.jpg", "test/c.jpg"],
        {"train/a.jpg": "Car", "train/b.jpg": "Bus", "valid/a.jpg": "Car", "test/c.jpg": "Bus"},
        {
            "train/a.jpg": "train",
            "train/b.jpg": "train",
            "valid/a.jpg": "validation",
            "test/c.jpg": "test",
        },
    ),
    "hugging-face-csv": Imitation(
        {
            "train/metadata.csv": table(["file_name", "label"], ["1.png", "a"], ["2.png", "b"]),
            "test/metadata.csv": table(["file_name", "label"], ["3.png", "a"]),
        },
        ["train/1.png", "train/2.png", "test/3.png"],
        {"train/1.png": "a", "train/2.png": "b", "test/3.png": "a"},
        {"train/1.png": "train", "train/2.png": "train", "test/3.png": "test"},
    ),
    "hugging-face-jsonl": Imitation(
        {
            "metadata.jsonl": lines(
                {"file_name": "images/1.png", "label": 3, "objects": {"bbox": [[1, 2, 3, 4]]}},
                {"file_name": "images/2.png", "label": 5, "text": "a cat"},
            )
        },
        ["images/1.png", "images/2.png"],
        {"images/1.png": "3", "images/2.png": "5"},
    ),
    "label-studio-json": Imitation(
        {
            "project-1-at-2024.json": json.dumps(
                [
                    _task("/data/upload/1/5f3a-one.jpg", "cat"),
                    _task("/data/upload/1/60b2-two.jpg", "dog", "dog"),
                    _task("/data/upload/1/77aa-three.jpg"),
                ],
                indent=2,
            ).encode()
        },
        ["upload/1/5f3a-one.jpg", "upload/1/60b2-two.jpg", "upload/1/77aa-three.jpg"],
        {"upload/1/5f3a-one.jpg": "cat", "upload/1/60b2-two.jpg": "dog"},
    ),
    "label-studio-local-files": Imitation(
        {
            "project-2.json": json.dumps(
                [
                    {"id": 1, "image": "/data/local-files/?d=my%20cats/1.jpg", "choice": "cat"},
                    {"id": 2, "image": "/data/local-files/?d=2.jpg", "choice": "dog"},
                ]
            ).encode()
        },
        ["my cats/1.jpg", "2.jpg"],
        {"my cats/1.jpg": "cat", "2.jpg": "dog"},
    ),
    "label-studio-csv": Imitation(
        {
            "project-1.csv": table(
                ["image", "id", "choice", "annotator", "annotation_id", "lead_time"],
                ["/data/upload/1/5f3a-one.jpg", 7, "cat", 1, 9, 3.5],
                ["/data/upload/1/77aa-two.jpg", 8, "dog", 1, 10, 2.25],
            )
        },
        ["5f3a-one.jpg", "77aa-two.jpg"],
        {"5f3a-one.jpg": "cat", "77aa-two.jpg": "dog"},
    ),
    "open-images": Imitation(
        {
            "train-annotations-human-imagelabels.csv": table(
                ["ImageID", "Source", "LabelName", "Confidence"],
                ["00a", "verification", "/m/01g317", 1],
                ["00a", "verification", "/m/0bt9lr", 0],
                ["00b", "verification", "/m/0bt9lr", 1],
            )
        },
        ["train/00a.jpg", "train/00b.jpg"],
        {"train/00a.jpg": "/m/01g317", "train/00b.jpg": "/m/0bt9lr"},
    ),
    "excel": Imitation(
        {
            "Fotos.csv": b"\xef\xbb\xbf"
            + table(
                ["Dateiname", "Klasse", "Datei Größe"],
                ["Bär.jpg", "Bär", "1,5"],
                ["Igel.jpg", "Igel ", "2,5"],
                delimiter=";",
            )
        },
        ["Bär.jpg", "Igel.jpg"],
        {"Bär.jpg": "Bär", "Igel.jpg": "Igel"},
        options={"path_column": "dateiname", "label_column": "klasse"},
        hint="--path-column NAME",
    ),
    "pandas-index": Imitation(
        {
            "df.csv": table(
                ["", "Unnamed: 0.1", "File Path", "Class Name", "Data-Split"],
                [0, 0, "a\\1.jpg", "cat", "Train"],
                [1, 1, "a\\2.jpg", "dog", "Holdout"],
            )
        },
        ["a/1.jpg", "a/2.jpg"],
        {"a/1.jpg": "cat", "a/2.jpg": "dog"},
        {"a/1.jpg": "train", "a/2.jpg": "test"},
    ),
    "pandas-parquet": Imitation(
        {
            "df.parquet": parquet(
                {
                    "__index_level_0__": [7, 8],
                    "filename": ["1.jpg", "2.jpg"],
                    "target": [0.0, 1.0],
                    "boxes": [[1.0], []],
                }
            )
        },
        ["img/1.jpg", "img/2.jpg"],
        {"img/1.jpg": "0", "img/2.jpg": "1"},
    ),
    "celeba-identity": Imitation(
        {"identity_CelebA.txt": b"000001.jpg 2880\n000002.jpg 2937\n"},
        ["img_align_celeba/000001.jpg", "img_align_celeba/000002.jpg"],
        {"img_align_celeba/000001.jpg": "2880", "img_align_celeba/000002.jpg": "2937"},
    ),
    "deep-fashion": Imitation(
        {
            "list_category_img.txt": b"2\nimage_name  category_label\n"
            b"img/Sheer_Blouse/img_01.jpg          3\nimg/Sheer_Blouse/img_02.jpg          12 \n"
        },
        ["img/Sheer_Blouse/img_01.jpg", "img/Sheer_Blouse/img_02.jpg"],
        {"img/Sheer_Blouse/img_01.jpg": "3", "img/Sheer_Blouse/img_02.jpg": "12"},
    ),
    "imagenet-kaggle": Imitation(
        {
            "LOC_val_solution.csv": table(
                ["ImageId", "PredictionString"],
                ["val_02", "n01440764 111 108 230 366 n01440764 5 6 7 8 "],
                ["val_01", "n02981792 131 0 499 254 "],
            )
        },
        ["val/val_01.JPEG", "val/val_02.JPEG"],
        {"val/val_01.JPEG": "n02981792", "val/val_02.JPEG": "n01440764"},
    ),
    "food-101": Imitation(
        {
            "meta/train.json": json.dumps(
                {"apple_pie": ["apple_pie/10", "apple_pie/11"], "ribs": ["ribs/20"]}
            ).encode()
        },
        [f"images/{key}.jpg" for key in ("apple_pie/10", "apple_pie/11", "apple_pie/9", "ribs/20")],
        {
            "images/apple_pie/10.jpg": "apple_pie",
            "images/apple_pie/11.jpg": "apple_pie",
            "images/ribs/20.jpg": "ribs",
        },
    ),
    "vggface-list": Imitation(
        {"train_list.txt": b"n000002/0001_01.jpg 0\nn000003/0001_01.jpg 1\n"},
        ["train/n000002/0001_01.jpg", "train/n000003/0001_01.jpg"],
        {"train/n000002/0001_01.jpg": "0", "train/n000003/0001_01.jpg": "1"},
    ),
    "inaturalist": Imitation(
        {
            "train_mini.json": json.dumps(
                {
                    "info": {},
                    "images": [
                        {"id": 0, "file_name": "train_mini/00654_Aves/1.jpg", "width": 500},
                        {"id": 1, "file_name": "train_mini/00655_Fungi/2.jpg", "width": 500},
                    ],
                    "annotations": [
                        {"id": 0, "image_id": 0, "category_id": 654},
                        {"id": 1, "image_id": 1, "category_id": 655},
                    ],
                    "categories": [
                        {"id": 654, "name": "Corvus corax"},
                        {"id": 655, "name": "Amanita muscaria"},
                    ],
                }
            ).encode()
        },
        ["train_mini/00654_Aves/1.jpg", "train_mini/00655_Fungi/2.jpg"],
        {
            "train_mini/00654_Aves/1.jpg": "Corvus corax",
            "train_mini/00655_Fungi/2.jpg": "Amanita muscaria",
        },
    ),
    "coco-style-lines": Imitation(
        {"labels.JSONL": lines({"img_path": "1.jpg", "Category": "x"}, {"img_path": "2.jpg"})},
        ["1.jpg", "2.jpg"],
        {"1.jpg": "x"},
    ),
    "food-101-train-txt": Imitation(
        {"meta/train.txt": b"apple_pie/10\napple_pie/11\nribs/20\n"},
        [f"images/{key}.jpg" for key in ("apple_pie/10", "apple_pie/11", "apple_pie/9", "ribs/20")],
        {
            "images/apple_pie/10.jpg": "apple_pie",
            "images/apple_pie/11.jpg": "apple_pie",
            "images/ribs/20.jpg": "ribs",
        },
    ),
    "cub-200": Imitation(
        {
            "images.txt": b"".join(
                b"%d %03d.Bird/%d.jpg\n" % (number, number // 8, number) for number in range(1, 25)
            )
        },
        [f"images/{number // 8:03}.Bird/{number}.jpg" for number in range(1, 25)],
        {
            f"images/{number // 8:03}.Bird/{number}.jpg": f"{number // 8:03}.Bird"
            for number in range(1, 25)
        },
    ),
    "places365": Imitation(
        {"train.txt": b"/a/airfield/1.jpg 0\n/b/bar/1.jpg 3\n/a/airfield/2.jpg 0\n"},
        ["a/airfield/1.jpg", "b/bar/1.jpg", "a/airfield/2.jpg", "a/airfield/3.jpg"],
        {"a/airfield/1.jpg": "0", "b/bar/1.jpg": "3", "a/airfield/2.jpg": "0"},
    ),
    "mxnet": Imitation(
        {"train.lst": b"7\t1\tx/a.jpg\n0\t0\ty/b.jpg\n3\t1\tx/c.jpg\n"},
        ["x/a.jpg", "x/c.jpg", "y/b.jpg"],
        {"x/a.jpg": "1", "y/b.jpg": "0", "x/c.jpg": "1"},
    ),
    "vertex-ai": Imitation(
        {
            "import.jsonl": lines(
                *(
                    {
                        "imageGcsUri": f"memory://bucket/flowers/{name}",
                        "classificationAnnotation": {
                            "displayName": label,
                            "annotationResourceLabels": {"aiplatform.googleapis.com/a": "a"},
                        },
                        "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": use},
                    }
                    for name, label, use in (
                        ("1.jpg", "rose", "training"),
                        ("2.jpg", "lily", "test"),
                    )
                )
            )
        },
        ["1.jpg", "2.jpg"],
        {"1.jpg": "rose", "2.jpg": "lily"},
        {"1.jpg": "train", "2.jpg": "test"},
    ),
    "ground-truth": Imitation(
        {
            "output.manifest": lines(
                *(
                    {
                        "source-ref": f"memory://bucket/flowers/{name}",
                        "flower": number,
                        "flower-metadata": {"confidence": 0.9, "class-name": label, "type": "t"},
                    }
                    for number, (name, label) in enumerate((("1.jpg", "rose"), ("2.jpg", "lily")))
                )
            )
        },
        ["1.jpg", "2.jpg"],
        {"1.jpg": "rose", "2.jpg": "lily"},
    ),
    "fiftyone": Imitation(
        {
            "labels.json": json.dumps(
                {"classes": ["lily", "rose"], "labels": {"1": 1, "2": "lily", "3": None}}
            ).encode()
        },
        ["data/1.jpg", "data/2.jpg", "data/3.jpg"],
        {"data/1.jpg": "rose", "data/2.jpg": "lily"},
    ),
    "nih-chest": Imitation(
        {
            "Data_Entry_2017.csv": table(
                ["Image Index", "Finding Labels", "Follow-up #"],
                ["1_000.png", "Hernia", 0],
                ["1_001.png", "No Finding", 1],
            )
        },
        ["images/1_000.png", "images/1_001.png"],
        {"images/1_000.png": "Hernia", "images/1_001.png": "No Finding"},
    ),
    "oxford-pets": Imitation(
        {"trainval.txt": b"Abyssinian_100 1 1 1\nbeagle_116 5 2 1\nbeagle_12 5 2 1\n"},
        ["images/Abyssinian_100.jpg", "images/beagle_116.jpg", "images/beagle_12.jpg"],
        {
            "images/Abyssinian_100.jpg": "1",
            "images/beagle_116.jpg": "5",
            "images/beagle_12.jpg": "5",
        },
        options={"path_column": "1", "label_column": "2"},
        hint="pass --path-column NAME, with the number of the column",
    ),
}
