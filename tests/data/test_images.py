import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as transforms

from dermseg.data.geometry import place
from dermseg.data.images import (
    read_image,
    read_mask,
    read_resized,
    read_size,
    resize_image,
    resize_mask,
)
from dermseg.errors import DataError

RGB = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3) * 3


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def png(width: int, height: int, bits: int, colour: int, pixels: bytes) -> bytes:
    """A PNG written by hand: of a depth that Pillow does not write, or lacking the pixels it claims."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in parts)


def tiff(values: list[int], bits: int, photometric: int, sample_format: int = 1) -> bytes:
    """A TIFF of one row of greys written by hand: of a kind that Pillow does not write."""
    digits = "".join(f"{value:0{bits}b}" for value in values)
    pixels = bytes(int(digits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(digits), 8))
    if bits > 12:
        pixels = b"".join(value.to_bytes(bits // 8, "little") for value in values)
    tags = {256: len(values), 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1}
    tags |= {279: len(pixels), 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = 8 + len(pixels) + len(pixels) % 2
    body = pixels.ljust(start - 8, b"\0") + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, start) + body


class TestReadImage:
    def test_rgb_png_is_exact(self, tmp_path):
        np.testing.assert_array_equal(read_image(saved(Image.fromarray(RGB), tmp_path / "a.png")), RGB)

    def test_the_array_is_read_only_as_is_said(self, tmp_path):
        read = read_image(saved(Image.fromarray(RGB), tmp_path / "a.png"))
        assert not read.flags.writeable

    @pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK", "YCbCr"])
    def test_every_mode_becomes_8_bit_rgb_of_the_same_look(self, tmp_path, mode):
        white_over_black = np.zeros((6, 4, 3), np.uint8)
        white_over_black[:3] = 255
        image = Image.fromarray(white_over_black).convert(mode)
        suffix = ".tif" if mode in {"CMYK", "YCbCr"} else ".png"
        read = read_image(saved(image, tmp_path / f"a{suffix}"))
        assert read.dtype == np.uint8
        np.testing.assert_allclose(read.astype(int), white_over_black, atol=1)

    def test_transparency_is_dropped_and_colours_kept(self, tmp_path):
        rgba = np.dstack([RGB, np.zeros((6, 4), np.uint8)])
        np.testing.assert_array_equal(read_image(saved(Image.fromarray(rgba), tmp_path / "a.png")), RGB)

    def test_transparent_palette_keeps_its_colours(self, tmp_path):
        image = Image.new("P", (2, 1))
        image.putpalette([200, 100, 50, 10, 20, 30])
        image.putpixel((1, 0), 1)
        path = saved(image, tmp_path / "a.png", transparency=bytes([0, 128]))
        assert read_image(path).tolist() == [[[200, 100, 50], [10, 20, 30]]]

    def test_16_bit_grey_is_scaled(self, tmp_path):
        grey = np.array([[0, 257, 65535]], np.uint16)
        path = saved(Image.fromarray(grey), tmp_path / "a.png")
        assert read_image(path)[0].tolist() == [[0] * 3, [1] * 3, [255] * 3]

    def test_16_bit_rgb_is_scaled(self, tmp_path):
        row = b"\0" + struct.pack(">6H", 0, 257 * 7, 65535, 257 * 200, 257, 0)
        (tmp_path / "a.png").write_bytes(png(2, 1, bits=16, colour=2, pixels=row))
        assert read_image(tmp_path / "a.png").tolist() == [[[0, 7, 255], [200, 1, 0]]]

    def test_12_bit_grey_is_scaled(self, tmp_path):
        (tmp_path / "a.tif").write_bytes(tiff([0, 2048, 4095, 1024], bits=12, photometric=1))
        assert read_image(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255, 64]

    @pytest.mark.parametrize("read", [read_image, read_mask, read_size])
    @pytest.mark.parametrize(("bits", "sample_format"), [(16, 1), (32, 3)])
    def test_white_as_zero_is_turned_over_or_refused_and_never_read_inverted(
        self, tmp_path, read, bits, sample_format
    ):
        (tmp_path / "a.tif").write_bytes(tiff([0, 255], bits=8, photometric=0))
        assert read_image(tmp_path / "a.tif")[0, :, 0].tolist() == [255, 0]
        (tmp_path / "a.tif").write_bytes(tiff([0, 65535], bits, 0, sample_format))
        with pytest.raises(
            DataError, match=r"a\.tif is a TIFF of more than 8 bits in which 0 is white; export"
        ):
            read(tmp_path / "a.tif")

    def test_cmyk_jpeg(self, tmp_path):
        path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
        np.testing.assert_allclose(read_image(path)[4, 4].astype(int), [255, 0, 0], atol=4)

    def test_floats_up_to_one_are_scaled(self, tmp_path):
        path = saved(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)), tmp_path / "a.tif")
        assert read_image(path)[0, :, 0].tolist() == [0, 128, 255]

    def test_floats_beyond_one_are_refused(self, tmp_path):
        path = saved(Image.fromarray(np.array([[0.0, 7.5]], np.float32)), tmp_path / "a.tif")
        with pytest.raises(DataError, match=r"a\.tif holds values from 0 to 7\.5"):
            read_image(path)

    @pytest.mark.parametrize(("suffix", "kind"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32)])
    def test_8_bit_values_in_a_wider_type_are_refused_and_not_black(self, tmp_path, suffix, kind):
        path = saved(Image.fromarray(np.array([[12, 231]], kind)), tmp_path / f"a.{suffix}")
        with pytest.raises(DataError, match=rf"a\.{suffix} holds no value above 231.*8-bit"):
            read_image(path)
        saved(Image.fromarray(np.array([[0, 0]], kind)), path)
        assert read_image(path).max() == 0

    def test_32_bit_values_are_read_as_16_bits_and_refused_beyond(self, tmp_path):
        path = saved(Image.fromarray(np.array([[0, 65535]], np.int32)), tmp_path / "a.tif")
        assert read_image(path)[0, :, 0].tolist() == [0, 255]
        saved(Image.fromarray(np.array([[0, 70000]], np.int32)), path)
        with pytest.raises(DataError, match=r"a\.tif holds values from 0 to 70000, expected 0 to 65535"):
            read_image(path)

    @pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
    def test_exif_orientation_turns_image_and_size(self, tmp_path, suffix):
        exif = Image.Exif()
        exif[0x0112] = 6
        path = saved(Image.new("RGB", (40, 20)), tmp_path / f"a.{suffix}", exif=exif)
        assert read_image(path).shape == (40, 20, 3)
        assert read_size(path) == (40, 20)

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_every_orientation_is_turned_as_pillow_turns_it(self, tmp_path, suffix, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = saved(Image.fromarray(RGB), tmp_path / f"a.{suffix}", exif=exif)
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_image(path), np.asarray(ImageOps.exif_transpose(image)))

    @pytest.mark.parametrize("exif", [b"Exif\0\0garbage!", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
    def test_damaged_exif_leaves_the_pixels_readable(self, tmp_path, exif, recwarn):
        path = saved(Image.new("RGB", (8, 4), "red"), tmp_path / "a.jpg", exif=exif)
        assert read_image(path).shape == (4, 8, 3)
        assert read_size(path) == (4, 8)
        assert not recwarn.list

    def test_upper_case_ending_and_arabic_name(self, tmp_path):
        path = saved(Image.fromarray(RGB), tmp_path / "آفة جلدية.PNG")
        np.testing.assert_array_equal(read_image(path), RGB)


class TestUnusableFiles:
    @pytest.mark.parametrize("read", [read_image, read_mask, read_size])
    def test_each_is_named_with_a_remedy(self, tmp_path, read):
        (tmp_path / "zero.jpg").touch()
        (tmp_path / "text.jpg").write_text("not an image")
        (tmp_path / "folder.jpg").mkdir()
        (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
        (tmp_path / "bomb.png").write_bytes(png(20_000, 15_000, bits=8, colour=0, pixels=b""))
        reasons = {
            "zero.jpg": "0 bytes.*again",
            "text.jpg": "not an image.*export",
            "folder.jpg": "is a folder.*give",
            "loop.jpg": "does not exist.*check",
            "missing.jpg": "does not exist.*check",
            "bomb.png": "megapixels.*smaller",
        }
        for name, reason in reasons.items():
            with pytest.raises(DataError, match=f"{name}.*{reason}"):
                read(tmp_path / name)

    @pytest.mark.parametrize("read", [read_image, read_mask, read_size])
    def test_formats_that_start_programs_are_not_opened(self, tmp_path, read):
        path = saved(Image.new("RGB", (8, 8)), tmp_path / "a.eps")
        with pytest.raises(DataError, match=r"a\.eps is not an image of a known format"):
            read(path)

    def test_forbidden_file_says_so(self, tmp_path, monkeypatch):
        path = saved(Image.fromarray(RGB), tmp_path / "a.png")

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Image, "open", refuse)
        with pytest.raises(DataError, match=r"a\.png may not be read by this user; change its permissions"):
            read_image(path)

    def test_lack_of_memory_is_not_blamed_on_the_file(self, tmp_path, monkeypatch):
        path = saved(Image.fromarray(RGB).convert("L"), tmp_path / "a.png")
        monkeypatch.setattr(Image.Image, "convert", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            read_image(path)

    def test_large_images_that_are_allowed_give_no_warning(self, tmp_path, recwarn):
        (tmp_path / "large.png").write_bytes(png(12_000, 10_000, bits=8, colour=0, pixels=b""))
        assert read_size(tmp_path / "large.png") == (10_000, 12_000)
        assert not list(recwarn)

    @pytest.mark.parametrize("read", [read_image, read_mask])
    @pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif"])
    def test_truncated(self, tmp_path, read, suffix):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        path = saved(Image.fromarray(noise), tmp_path / f"cut.{suffix}")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match=rf"cut\.{suffix}.*(again|export)"):
            read(path)

    @pytest.mark.parametrize("read", [read_image, read_mask, read_size])
    def test_pillow_says_nothing_of_its_own_about_a_cut_tiff(self, tmp_path, read, recwarn):
        path = saved(Image.fromarray(RGB), tmp_path / "cut.tif")
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(DataError, match=r"cut\.tif is not an image"):
            read(path)
        assert not recwarn.list


class TestReadMask:
    EXPECTED = np.array([[False, True, True], [False, False, True]])

    @pytest.mark.parametrize("high", [1, 128, 255])
    def test_two_grey_levels(self, tmp_path, high):
        path = saved(Image.fromarray(self.EXPECTED.astype(np.uint8) * np.uint8(high)), tmp_path / "m.png")
        mask = read_mask(path)
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, self.EXPECTED)

    def test_16_bit_zero_and_one(self, tmp_path):
        path = saved(Image.fromarray(self.EXPECTED.astype(np.uint16)), tmp_path / "m.png")
        np.testing.assert_array_equal(read_mask(path), self.EXPECTED)

    @pytest.mark.parametrize("mode", ["1", "LA", "P", "RGB", "RGBA"])
    def test_modes(self, tmp_path, mode):
        image = Image.fromarray(self.EXPECTED.astype(np.uint8) * np.uint8(255)).convert(mode)
        np.testing.assert_array_equal(read_mask(saved(image, tmp_path / "m.png")), self.EXPECTED)

    def test_one_colour_on_black(self, tmp_path):
        colour = self.EXPECTED[..., None] * np.array([128, 0, 0], np.uint8)
        path = saved(Image.fromarray(colour.astype(np.uint8)), tmp_path / "m.png")
        np.testing.assert_array_equal(read_mask(path), self.EXPECTED)

    @pytest.mark.parametrize("drawn", ["colours", "palette", "transparency", "grey transparency"])
    def test_what_only_hue_or_transparency_shows_is_refused(self, tmp_path, drawn):
        lesion = self.EXPECTED
        white, blue = np.array([255, 255, 255], np.uint8), np.array([0, 0, 255], np.uint8)
        if drawn == "colours":
            image = Image.fromarray(np.where(lesion[..., None], white, blue))
        elif drawn == "palette":
            image = Image.fromarray(lesion.astype(np.uint8), "P")
            image.putpalette([0, 0, 255, 255, 0, 0])
        else:
            image = Image.new("RGBA" if drawn == "transparency" else "LA", lesion.shape[::-1], "white")
            image.putalpha(Image.fromarray(lesion.astype(np.uint8) * np.uint8(255)))
        with pytest.raises(DataError, match=r"m\.png is not a mask: its colours are equally light, or"):
            read_mask(saved(image, tmp_path / "m.png"))

    def test_jpeg_mask_is_cut_at_the_middle(self, tmp_path):
        disc = np.hypot(*np.mgrid[-40:40, -40:40]) < 25
        path = saved(Image.fromarray(disc.astype(np.uint8) * np.uint8(255)), tmp_path / "m.jpg", quality=75)
        assert np.unique(np.asarray(Image.open(path))).size > 2
        np.testing.assert_array_equal(read_mask(path), disc)

    def test_empty_and_full(self, tmp_path):
        assert not read_mask(saved(Image.new("L", (3, 2), 0), tmp_path / "e.png")).any()
        assert read_mask(saved(Image.new("L", (3, 2), 255), tmp_path / "f.png")).all()

    def test_photograph_is_refused(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        with pytest.raises(DataError, match=r"photo\.png is not a mask.*expected black"):
            read_mask(saved(Image.fromarray(noise), tmp_path / "photo.png"))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_no_numbers_are_refused(self, tmp_path, value):
        path = saved(Image.fromarray(np.array([[0.0, 1.0, value]], np.float32)), tmp_path / "m.tif")
        with pytest.raises(DataError, match=r"m\.tif is not a mask: it holds values that are not numbers"):
            read_mask(path)

    def test_map_of_classes_is_refused(self, tmp_path):
        with pytest.raises(DataError, match=r"classes\.png is not a mask: 3 levels from 0 to 2"):
            read_mask(saved(Image.fromarray(np.array([[0, 0, 1, 2]], np.uint8)), tmp_path / "classes.png"))


@pytest.mark.parametrize("geometry", ["squash", "fit", "crop"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_read_resized_is_read_then_resized(tmp_path, mode, geometry):
    noise = np.random.default_rng(0).integers(0, 256, (31, 52, 3), dtype=np.uint8)
    image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257) if mode == "I;16" else None
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(image or Image.fromarray(noise).convert(mode), tmp_path / "a.png", exif=exif)
    pixels, size = read_resized(path, 20, geometry)
    assert size == (52, 31)
    np.testing.assert_array_equal(pixels, resize_image(read_image(path), 20, geometry))


class TestResize:
    @pytest.mark.parametrize("shape", [(97, 131), (16, 300), (64, 64)])
    def test_agrees_with_torchvision(self, shape):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        expected = transforms.resize(torch.from_numpy(image).permute(2, 0, 1), [64, 64], antialias=True)
        difference = resize_image(image, 64).astype(int) - expected.permute(1, 2, 0).numpy()
        assert abs(difference).max() <= 1

    def test_mask_keeps_place_and_share(self):
        mask = np.zeros((90, 120), bool)
        mask[30:60, 40:80] = True
        expected = np.zeros((12, 12), bool)
        expected[4:8, 4:8] = True
        np.testing.assert_array_equal(resize_mask(mask, 12), expected)

    @pytest.mark.parametrize("shape", [(90, 120), (120, 90), (64, 64), (7, 200), (200, 1), (1, 1)])
    def test_fit_shows_the_whole_frame_and_mirrors_it(self, shape):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        area = place(*shape, 32, "fit").target
        fitted = resize_image(image, 32, "fit")
        assert fitted.shape == (32, 32, 3)
        resized = np.asarray(
            Image.fromarray(image).resize((area.width, area.height), Image.Resampling.BILINEAR)
        )
        np.testing.assert_array_equal(fitted[area.slices], resized)
        # Mirrored about its edge: the line beyond the edge is the line at the edge.
        if area.top > 0:
            np.testing.assert_array_equal(fitted[area.top - 1], fitted[area.top])
        if area.left > 0:
            np.testing.assert_array_equal(fitted[:, area.left - 1], fitted[:, area.left])

    def test_fit_mirrors_image_and_mask_alike(self):
        mask = np.zeros((30, 60), bool)
        mask[:20, 10:30] = True
        image = np.repeat(mask[..., None], 3, axis=2) * np.uint8(255)
        fitted = resize_mask(mask, 60, "fit")
        np.testing.assert_array_equal(fitted, resize_image(image, 60, "fit")[..., 0] == 255)
        assert fitted[:15].any()

    def test_crop_is_the_middle_and_nothing_else(self):
        image = np.zeros((40, 100, 3), np.uint8)
        image[:, 30:70] = 200
        assert (resize_image(image, 20, "crop") == 200).mean() > 0.89
        np.testing.assert_array_equal(resize_image(image, 40, "crop"), image[:, 30:70])
        mask = image[..., 0] > 0
        assert resize_mask(mask, 20, "crop").all()
