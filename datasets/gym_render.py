"""Pictures of the gymnast: camera, background, drawing and finishing.  Imported only where clips are made.

A clip is drawn at twice its size in painter's order (farthest capsule of each frame first) and shrunk,
which smooths the edges.  All coordinates are in pixels of the finished frame, x right and y down, until
`_capsules` scales them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.gymnast import (
    TURN,
    Array,
    Element,
    GymParameters,
    Motion,
    Segments,
    draw_body,
    draw_motion,
    hsv,
    segments,
)

Frames = NDArray[np.uint8]
Color = tuple[float, ...]

SUPERSAMPLING = 2
SUBPIXEL_BITS = 4
ARC_POINTS = 7
"""Points of the half circle at either end of a capsule."""

MARGIN = 0.5
"""The background is larger than the frame by this share, so that the camera may move over it."""


def render_clip(element: Element, parameters: GymParameters, rng: np.random.Generator) -> Frames:
    """Draw one clip of `element`: uint8 RGB (T, side, side, 3), a pure function of its arguments."""
    p = parameters
    motion = draw_motion(element, p, rng)
    figure = segments(draw_body(p, rng), motion)
    camera = draw_camera(p, motion, rng)
    background = draw_background(p, rng)
    outlines, colors = _outlines(figure, camera)
    strokes, stroke_color = _draw_distractors(p, len(motion.progress), rng)
    frames = np.empty((len(motion.progress), p.side, p.side, 3), np.uint8)
    for index in range(len(frames)):
        canvas = _view(background, camera, index, p.side)
        _paint(canvas, strokes[index], stroke_color)
        _paint(canvas, outlines[index], colors[index])
        frames[index] = cv2.resize(canvas, (p.side, p.side), interpolation=cv2.INTER_AREA)
    return _finish(frames, p, rng)


@dataclass(frozen=True)
class Camera:
    """An orthographic camera over T frames.

    `yaw` in radians about the vertical; `scale` (T,) pixels per unit of length; `zoom` (T,) its change
    about 1; `center` (T, 2) where the body's center is seen; `pan` (T, 2) how far the scene has moved.
    """

    yaw: float
    scale: Array
    zoom: Array
    center: Array
    pan: Array


def draw_camera(parameters: GymParameters, motion: Motion, rng: np.random.Generator) -> Camera:
    """Draw the camera and the path of the figure through the frame."""
    p, progress = parameters, motion.progress
    time = np.arange(len(progress)) / len(progress) * 2 - 1
    size = p.figure * p.side * (1 + rng.uniform(-p.scale, p.scale))
    zoom = 1 + rng.uniform(-p.zoom, p.zoom) * time
    pan = time[:, None] * rng.uniform(-p.pan, p.pan, 2) * [1, 0.6] * p.side
    place = np.array([0.5, 0.56]) + rng.uniform(-1, 1, 2) * p.offset
    travel = rng.uniform(-p.travel, p.travel) * (progress - 0.5)
    height = rng.uniform(*p.jump) * 4 * progress * (1 - progress)
    center = (place + np.stack([travel, -height], 1)) * p.side + pan
    return Camera(np.deg2rad(rng.uniform(-p.yaw, p.yaw)), size * zoom, zoom, center, pan)


def project(points: Array, camera: Camera) -> tuple[Array, Array]:
    """Pixels (T, K, 2) and depth (T, K; larger is farther) of world points (T, K, 3)."""
    c, s = np.cos(camera.yaw), np.sin(camera.yaw)
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    flat = np.stack([x * c + y * s, -z], -1)
    return camera.center[:, None] + camera.scale[:, None, None] * flat, -x * s + y * c


def draw_background(parameters: GymParameters, rng: np.random.Generator) -> Frames:
    """A dim scene, larger than the frame: a gradient or soft blobs, and up to four boxes."""
    size = round(parameters.side * (1 + MARGIN))
    y, x = np.mgrid[0:size, 0:size] / size
    base = _background_color(rng, 0.7, 0.3)
    if rng.random() < 0.5:
        angle, steepness = rng.uniform(0, TURN), rng.uniform(0.7, 1.5)
        share = (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)) * steepness + 0.5
        scene = _blend(_background_color(rng, 0.7, 0.3), base, np.clip(share, 0, 1))
    else:
        scene = np.tile(base, (size, size, 1))
        for _ in range(rng.integers(3, 8)):
            square = (x - rng.uniform()) ** 2 + (y - rng.uniform()) ** 2
            share = np.exp(-square / (2 * rng.uniform(0.06, 0.25) ** 2))
            scene = _blend(scene, _background_color(rng, 0.8, 0.2), share)
    for _ in range(rng.integers(0, 5)):
        left, top, width, height = *rng.uniform(0, 1, 2), *rng.uniform(0.05, 0.4, 2)
        box = (x > left) & (x < left + width) & (y > top) & (y < top + height)
        scene[box] = _background_color(rng, 0.8, 0.2)
    return np.rint(scene * parameters.dim * 255).astype(np.uint8)


def _background_color(rng: np.random.Generator, most_saturated: float, darkest: float) -> Array:
    return hsv(rng.uniform(), rng.uniform(0, most_saturated), rng.uniform(darkest, 1))


def _blend(below: Array, above: Array, share: Array) -> Array:
    return below * (1 - share[..., None]) + above * share[..., None]


def _view(background: Frames, camera: Camera, index: int, side: int) -> Frames:
    """The part of the background that the camera sees, at drawing size."""
    ratio = 1 / camera.zoom[index]
    # The scene's own center stays where the camera points; + 0.5 and - 0.5: pixel centers.
    shift = len(background) / 2 - (side / 2 + camera.pan[index] - 0.5) * ratio - 0.5
    matrix = np.array([[ratio, 0, shift[0]], [0, ratio, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(background, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    drawn = (side * SUPERSAMPLING,) * 2
    return np.asarray(cv2.resize(seen, drawn, interpolation=cv2.INTER_NEAREST))


def _paint(canvas: Frames, outlines: NDArray[np.int32], colors: Sequence[Color]) -> None:
    """Fill outlines (K, points, 2) one over the other."""
    for outline, color in zip(outlines, colors, strict=True):
        cv2.fillConvexPoly(canvas, outline, color, lineType=cv2.LINE_8, shift=SUBPIXEL_BITS)


def _capsules(start: Array, end: Array, radius: Array) -> NDArray[np.int32]:
    """Outlines (..., 2 * ARC_POINTS, 2) of capsules between `start` and `end` (..., 2), for `fillConvexPoly`.

    OpenCV also paints the outline itself, half a drawn pixel wider than asked: the radius makes up for it.
    """
    along = end - start
    heading = np.arctan2(along[..., 1], along[..., 0])[..., None]
    arc = np.linspace(-np.pi / 2, np.pi / 2, ARC_POINTS)
    angle = np.concatenate([heading + arc, heading + np.pi + arc], -1)
    inside = (np.maximum(radius, 1.0) - 0.5 / SUPERSAMPLING)[..., None, None]
    center = np.repeat(np.stack([end, start], -2), ARC_POINTS, -2)
    points = center + inside * np.stack([np.cos(angle), np.sin(angle)], -1)
    fixed = (points * SUPERSAMPLING - 0.5) * (1 << SUBPIXEL_BITS)
    return np.asarray(np.rint(fixed), np.int32)


def _outlines(figure: Segments, camera: Camera) -> tuple[NDArray[np.int32], list[list[Color]]]:
    """Outlines (T, K, points, 2) and colors of the figure's capsules, farthest first in every frame."""
    start, start_depth = project(figure.start, camera)
    end, end_depth = project(figure.end, camera)
    order = np.argsort(-(start_depth + end_depth), axis=1, kind="stable")
    outlines = _capsules(start, end, figure.radius * camera.scale[:, None])
    colors = _drawing_colors(figure.color)
    frame = np.arange(len(order))[:, None]
    return outlines[frame, order], [[colors[part] for part in parts] for parts in order]


def _draw_distractors(
    p: GymParameters, frames: int, rng: np.random.Generator
) -> tuple[NDArray[np.int32], list[Color]]:
    """Outlines (T, D, points, 2) and colors of strokes that drift and turn behind the figure."""
    count = int(rng.integers(0, p.distractors + 1))
    time = np.arange(frames)[:, None]
    speed = rng.uniform(-1, 1, (count, 2)) * [1, 0.6] / 48  # at most one part in 48 of the frame per frame
    place = (rng.uniform(0, 1, (count, 2)) + time[..., None] * speed) * p.side
    angle = rng.uniform(0, 6, count) + rng.uniform(-0.25, 0.25, count) * time
    length = rng.uniform(0.02, 0.2, count) * p.side
    reach = np.stack([np.cos(angle), np.sin(angle)], -1) * length[:, None]
    radius = np.tile(rng.uniform(0.03, 0.07, count) * p.side, (frames, 1))
    colors = [hsv(rng.uniform(), rng.uniform(0.2, 1), rng.uniform(0.3, 0.9)) for _ in range(count)]
    return _capsules(place, place + reach, radius), _drawing_colors(np.reshape(colors, (count, 3)))


def _drawing_colors(colors: Array) -> list[Color]:
    """RGB in [0, 1] (K, 3) as the 8-bit tuples that OpenCV draws with."""
    return [tuple(map(float, color)) for color in np.rint(np.clip(colors, 0, 1) * 255)]


def _finish(frames: Frames, p: GymParameters, rng: np.random.Generator) -> Frames:
    """Blur, brightness and noise of the whole clip."""
    blur, gain, noise = rng.uniform(*p.blur), rng.uniform(*p.gain), rng.uniform(*p.noise)
    if blur > 0.5:
        frames = np.stack([cv2.GaussianBlur(frame, (7, 7), blur) for frame in frames])
    # OpenCV's generator makes this much grain in a quarter of the time.
    cv2.setRNGSeed(int(rng.integers(1, 2**31)))
    flat = frames.reshape(len(frames) * p.side, -1)
    grain = cv2.randn(np.empty(flat.shape, np.float32), np.zeros(1), np.array([255 * noise]))
    lit = cv2.addWeighted(flat.astype(np.float32), gain, grain, 1, 0, dtype=cv2.CV_8U)
    return np.asarray(lit, np.uint8).reshape(frames.shape)
