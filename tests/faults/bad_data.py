"""Bad photographs, annotations, captions, cut-outs and folders of What'sUp."""

import copy
import json
import os
import socket
from functools import partial

from faults.cases import Case
from PIL import Image

from crosseyed.data.cutouts import read_catalogue, read_cutout_folder, sample_objects
from crosseyed.data.whatsup import read_whatsup
from crosseyed.report import own_data

LEFT_OUT = ("out/.crosseyed.json", "out/left_out.csv")

DOCUMENT = {
    "images": [{"id": n, "file_name": f"{n}.jpg", "width": 80, "height": 64} for n in range(4)],
    "annotations": [
        {"id": n, "image_id": n % 4, "category_id": 1 + n % 2, "bbox": [10 + n, 10, 20, 25]}
        for n in range(24)
    ],
    "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "dog"}],
}

CAPTIONS = "image,caption,x,y\n0.jpg,a cup,0.5,0.5\n1.jpg,a dog,0.2,0.3\n"


def never(*_):
    """Stands for loading a model, which nobody may do before the data are known to be in order."""
    raise AssertionError("the model is loaded")


def some_images(folder):
    """Write four photographs into ``images``."""
    (folder / "images").mkdir()
    for number in range(4):
        Image.new("RGB", (80, 64), (9 * number, 80, 90)).save(folder / "images" / f"{number}.jpg")


def measured(folder, data, images="images", output="out"):
    """Return the call that measures a model on data in a folder."""
    return partial(own_data.measure, never, folder / data, folder / images, folder / output)


def document(**change):
    """Prepare annotations with other lists."""
    return text(json.dumps({**DOCUMENT, **change}))


def annotated(**change):
    """Prepare annotations of which each has other values; a function takes the annotation's box."""
    entries = copy.deepcopy(DOCUMENT["annotations"])
    for entry in entries:
        entry |= {key: each(*entry["bbox"]) if callable(each) else each for key, each in change.items()}
    return document(annotations=entries)


def imaged(**change):
    """Prepare annotations of which each image has other values."""
    return document(images=[{**entry, **change} for entry in DOCUMENT["images"]])


def text(content, name="annotations.json"):
    """Prepare a file of annotations or captions with a content of its own."""

    def prepare(folder):
        some_images(folder)
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(raw)
        return measured(folder, name)

    return prepare


def captions(content):
    """Prepare a table of captions."""
    return text(content, "captions.csv")


def placed(make, name="annotations.json"):
    """Prepare something else in the place of the annotations."""

    def prepare(folder):
        some_images(folder)
        make(folder / name)
        return measured(folder, name)

    return prepare


def photographed(make):
    """Prepare whole annotations, and something else in the place of each photograph."""

    def prepare(folder):
        call = document()(folder)
        for path in (folder / "images").iterdir():
            path.unlink()
            make(path)
        return call

    return prepare


def sent_to(make, output, name="annotations.json"):
    """Prepare whole annotations and an output that cannot be."""

    def prepare(folder):
        document()(folder)
        make(folder / "out")
        return measured(folder, name, output=output)

    return prepare


def socketed(path):
    """Make a socket; its name must be short, whatever the folder."""
    here = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def mine(path):
    """Make a folder of somebody else."""
    path.mkdir()
    (path / "objects.csv").write_text("mine")


def of_another_command(path):
    """Make a folder that another command marked."""
    mine(path)
    (path / ".crosseyed.json").write_text('{"made_by": "train"}')


def with_broken_mark(path):
    """Make a folder whose mark is damaged."""
    mine(path)
    (path / ".crosseyed.json").write_text("{")


ESCAPING = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 80 64\nshowpage\n"


def halved(path):
    """Write a photograph that ends within its header."""
    Image.new("RGB", (80, 64)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:20])


UNITS = [
    Case("units", name, annotated(bbox=box), words)
    for name, box, words in [
        ("fractions", lambda x, y, w, h: [x / 80, y / 64, w / 80, h / 64], ("fractions", "in pixels")),
        ("corners", lambda x, y, w, h: [x + 10, y + 10, x + 10 + w, y + 10 + h], ("corners", "in pixels")),
        ("percent", lambda x, y, w, h: [x / 8, y / 8, w / 8, h / 8], ("percent", "in pixels")),
        ("fractions as text", lambda x, y, w, h: [str(x / 80)] * 4, ("fractions",)),
    ]
] + [
    Case(
        "units",
        "places in pixels",
        captions(CAPTIONS.replace("0.", "40.").replace("40.jpg", "0.jpg")),
        ("pixels",),
    ),
]

UNUSABLE = [
    Case("nothing usable", name, prepare, ("None of the", *words), writes=LEFT_OUT)
    for name, prepare, words in [
        ("no boxes", annotated(bbox=None), ("box is not four numbers",)),
        ("boxes of three", annotated(bbox=[1, 2, 3]), ("box is not four numbers", "[1, 2, 3]")),
        ("boxes of words", annotated(bbox=["a", "b", "c", "d"]), ("box is not four numbers",)),
        ("boxes as text", annotated(bbox="10 10 20 25"), ("box is not four numbers",)),
        ("infinite boxes", annotated(bbox=[1, 2, 3, float("inf")]), ("box is not four finite numbers",)),
        ("boxes of NaN", annotated(bbox=[float("nan")] * 4), ("finite",)),
        ("boxes without area", annotated(bbox=[60, 50, 0, 5]), ("box without area",)),
        ("negative boxes", annotated(bbox=[70, 60, -20, -5]), ("box without area",)),
        ("boxes elsewhere", annotated(bbox=[800, 640, 20, 20]), ("box outside the image",)),
        ("huge boxes", annotated(bbox=[10**400, 1, 1, 1]), ("box",)),
        ("unknown categories", annotated(category_id=77), ("unknown category", "77")),
        ("categories that are lists", annotated(category_id=[1]), ("unknown category",)),
        ("nameless categories", document(categories=[{"id": 1}, {"id": 2}]), ("category without a name",)),
        (
            "categories of one id",
            document(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]),
            ("twice",),
        ),
        ("unknown images", annotated(image_id="nowhere"), ("not in the list of images", "nowhere")),
        ("images of one id", imaged(id=0), ("twice",)),
        ("missing images", imaged(file_name="none.png"), ("image file", "none.png")),
        ("images elsewhere", imaged(file_name="../annotations.json"), ("missing",)),
        ("absolute images", imaged(file_name="/etc/passwd"), ("missing",)),
        ("images without a name", imaged(file_name=7), ("image without a file name", "7")),
        ("image names with NUL", imaged(file_name="a\0b.jpg"), ("missing",)),
        ("long image names", imaged(file_name="x" * 5000), ("missing",)),
        ("other sizes", imaged(width=4000), ("differs", "4000", "80")),
        ("sizes of words", imaged(width="wide"), ("differs", "wide")),
        ("all crowds", annotated(iscrowd=1), ("crowd",)),
        ("crowds of words", annotated(iscrowd="perhaps"), ("iscrowd", "perhaps")),
        ("no annotations", document(annotations=[]), ("0 annotations",)),
        ("no entries", document(annotations=[None, 7, "x"]), ("3 annotations",)),
        ("empty images", photographed(lambda path: path.write_bytes(b"")), ("unreadable",)),
        ("text images", photographed(lambda path: path.write_text("no image")), ("unreadable",)),
        ("cut images", photographed(halved), ("unreadable",)),
        ("images that start programs", photographed(lambda path: path.write_text(ESCAPING)), ("unreadable",)),
        ("folders as images", photographed(lambda path: path.mkdir()), ("image file",)),
        ("pipes as images", photographed(os.mkfifo), ("image file",)),
    ]
]

DOCUMENTS = [
    Case("documents", name, prepare, words)
    for name, prepare, words in [
        ("missing", lambda folder: measured(folder, "annotation.json"), ("There is no", "annotation.json")),
        ("a folder", placed(lambda path: path.mkdir()), ("is a folder", "COCO")),
        ("a pipe", placed(os.mkfifo), ("is a pipe", "COCO")),
        ("a socket", placed(socketed), ("is a socket",)),
        ("a device", placed(lambda path: path.symlink_to("/dev/zero")), ("is a device",)),
        ("a link to itself", placed(lambda path: path.symlink_to(path)), ("cannot be read",)),
        ("a link to nothing", placed(lambda path: path.symlink_to("nothing")), ("There is no",)),
        ("empty", text(""), ("is empty",)),
        ("blank", text("\ufeff \n"), ("is empty",)),
        ("cut", text(json.dumps(DOCUMENT)[:-40]), ("is not JSON", "line 1")),
        ("a key twice", text('{"images": [], "images": [], "annotations": []}'), ("'images' twice",)),
        ("endless nesting", text("[" * 200_000), ("nested too deeply",)),
        ("a number without end", text('{"images": ' + "9" * 9000 + "}"), ("is not JSON",)),
        ("NUL", text('{"images": "\0"}'), ("annotations.json", "JSON")),
        ("Latin-1", text('{"images": "é"}'.encode("latin-1")), ("not text in UTF-8",)),
        ("half of UTF-16", text("{}".encode("utf-16")[:-1]), ("UTF-16",)),
        ("a list", text("[]"), ("no list 'images'",)),
        ("null", text("null"), ("no list 'images'",)),
        ("no categories", text('{"images": [], "annotations": []}'), ("no list 'categories'",)),
        ("images as text", document(images="all"), ("no list 'images'",)),
        ("an image", placed(lambda path: Image.new("L", (9, 9)).save(path, "PNG")), ("annotations.json",)),
        ("a name with NUL", lambda folder: measured(folder, "a\0b.json"), ("cannot be read",)),
        ("a name of 300 letters", lambda folder: measured(folder, "x" * 300), ("cannot be read", "too long")),
        (
            "no such folder of images",
            lambda folder: (document()(folder), measured(folder, "annotations.json", "imges"))[1],
            ("did you mean 'images'",),
        ),
        (
            "a file for the folder of images",
            lambda folder: (document()(folder), measured(folder, "annotations.json", "annotations.json"))[1],
            ("is a file and not a folder",),
        ),
    ]
]

WITHOUT_A_ROW = (
    "only a header",
    "places of words",
    "places of NaN",
    "empty captions",
    "missing images",
    "images elsewhere",
)

TABLES = [
    Case("captions", name, captions(content), words, writes=LEFT_OUT if name in WITHOUT_A_ROW else ())
    for name, content, words in [
        ("empty", "", ("captions.csv",)),
        ("only a header", "image,caption,x,y\n", ("None of the 0 rows",)),
        ("no caption", "image,text,x,y\n0.jpg,a cup,0.5,0.5\n", ("no column 'caption'",)),
        ("misspelt caption", "image,captoin,x,y\n0.jpg,a cup,0.5,0.5\n", ("did you mean",)),
        (
            "two captions",
            "image,caption,caption,x,y\n0.jpg,a,b,0.5,0.5\n",
            ("more than one column 'caption'",),
        ),
        ("too many fields", "image,caption,x,y\n0.jpg,a cup, blue,0.5,0.5\n", ("Row 1", "5 fields")),
        ("places of words", "image,caption,x,y\n0.jpg,a cup,left,top\n", ("'left' is not between 0 and 1",)),
        ("places of NaN", "image,caption,x,y\n0.jpg,a cup,nan,0.5\n", ("is not between 0 and 1",)),
        ("empty captions", "image,caption,x,y\n0.jpg, ,0.5,0.5\n", ("the caption is empty",)),
        ("missing images", "image,caption,x,y\nnone.jpg,a cup,0.5,0.5\n", ("there is no image 'none.jpg'",)),
        ("images elsewhere", "image,caption,x,y\n../captions.csv,a cup,0.5,0.5\n", ("there is no image",)),
        ("an open quote", 'image,caption,x,y\n0.jpg,"a cup,0.5,0.5\n', ("captions.csv",)),
        ("NUL", "image,caption,x,y\n0.jpg,a\0b,0.5,0.5\n", ("NUL",)),
        ("a pickle", b"\x80\x04\x95\xff\xfe", ("captions.csv",)),
    ]
]

OUTPUTS = [
    Case("output", name, prepare, words)
    for name, prepare, words in [
        ("of somebody else", sent_to(mine, "out"), ("did not make", "out-own-data")),
        ("of another command", sent_to(of_another_command, "out"), ("did not make",)),
        ("with a damaged mark", sent_to(with_broken_mark, "out"), ("did not make",)),
        ("where the input lies", sent_to(lambda path: None, "."), ("did not make",)),
        ("among the images", sent_to(lambda path: None, "images"), ("did not make",)),
        ("a file", sent_to(lambda path: path.write_text("mine"), "out"), ("Cannot write",)),
        ("below a file", sent_to(lambda path: path.write_text("mine"), "out/deeper"), ("Cannot write",)),
        ("a pipe", sent_to(os.mkfifo, "out"), ("Cannot write",)),
        ("where nothing can be", sent_to(lambda path: None, "/proc/nowhere"), ("Cannot write",)),
        ("of 300 letters", sent_to(lambda path: None, "x" * 300), ("shorter name",)),
        ("with NUL", sent_to(lambda path: None, "a\0b"), ("Cannot write",)),
    ]
]


def whatsup(*names):
    """Prepare a folder of What'sUp with empty files of these names."""

    def prepare(folder):
        (folder / "whatsup").mkdir()
        for name in names:
            (folder / "whatsup" / name).touch()
        return partial(read_whatsup, folder / "whatsup")

    return prepare


WHATSUP = [
    Case("What'sUp", name, prepare, words)
    for name, prepare, words in [
        (
            "missing",
            lambda folder: partial(read_whatsup, folder / "whatsup"),
            ("There is no", "crosseyed download"),
        ),
        (
            "a file",
            lambda folder: ((folder / "a").touch(), partial(read_whatsup, folder / "a"))[1],
            ("is a file",),
        ),
        ("empty", whatsup(), ("no file in it", "crosseyed download")),
        ("only hidden files", whatsup("._mug_on_table.jpeg", ".DS_Store"), ("no file in it",)),
        ("other names", whatsup("photo1.jpeg", "mug.jpeg"), ("mug.jpeg", "none is an image", "object1")),
        ("no images", whatsup("mug_on_table.txt"), ("none is an image",)),
        ("underscores in objects", whatsup("palm_tree_on_table.jpeg"), ("none is an image", "hyphens")),
    ]
]


def cutouts(**files):
    """Prepare a folder of cut-outs: functions that write a file of each name."""

    def prepare(folder):
        (folder / "objects").mkdir()
        for name, write in files.items():
            write(folder / "objects" / name.replace("__", "."))
        return partial(read_cutout_folder, folder / "objects")

    return prepare


def drawn(color, kind="PNG"):
    """Return a function that writes a picture of one color."""
    return lambda path: Image.new("RGBA", (9, 9), color).save(path, kind)


def half(path):
    """Write a cut-out that is transparent at one side."""
    image = Image.new("RGBA", (9, 9))
    image.paste((200, 0, 0, 255), (0, 0, 5, 9))
    image.save(path, "PNG")


CUTOUTS = [
    Case("cut-outs", name, prepare, words)
    for name, prepare, words in [
        ("missing", lambda folder: partial(read_cutout_folder, folder / "objects"), ("There is no",)),
        (
            "a file",
            lambda folder: ((folder / "a").touch(), partial(read_cutout_folder, folder / "a"))[1],
            ("is a file",),
        ),
        ("empty", cutouts(), ("no PNG or WebP file",)),
        (
            "only hidden files",
            cutouts(**{"._cat__webp": lambda path: path.write_bytes(b"\0\5\x16\7")}),
            ("no PNG",),
        ),
        ("only a pipe", cutouts(cat__png=os.mkfifo), ("no PNG",)),
        ("invisible", cutouts(cat__png=drawn((0, 0, 0, 0))), ("wholly transparent",)),
        ("opaque", cutouts(cat__png=drawn((9, 9, 9, 255))), ("no transparent pixel",)),
        (
            "damaged",
            cutouts(cat__png=lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n1234")),
            ("cannot be read",),
        ),
        ("empty files", cutouts(cat__webp=lambda path: path.write_bytes(b"")), ("cannot be read",)),
        (
            "what starts programs",
            cutouts(cat__png=lambda path: path.write_text(ESCAPING)),
            ("cannot be read",),
        ),
        (
            "one object twice",
            cutouts(**{"hot-dog__png": half, "hot_dog__png": half}),
            ("both show 'hot dog'",),
        ),
        ("no catalogue", lambda folder: partial(read_catalogue, folder=folder), ("catalogue.csv",)),
        ("an unknown style", lambda folder: partial(read_catalogue, ["fluint"]), ("did you mean 'fluent'",)),
        (
            "no objects",
            lambda folder: partial(sample_objects, read_catalogue(["noto"]), 0, 0),
            ("between 1 and",),
        ),
        (
            "too many objects",
            lambda folder: partial(sample_objects, read_catalogue(["noto"]), 10**6, 0),
            ("1000000",),
        ),
    ]
]

CASES = UNITS + UNUSABLE + DOCUMENTS + TABLES + OUTPUTS + WHATSUP + CUTOUTS
