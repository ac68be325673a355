"""An articulated gymnast: the parameters of an element, its motion, and the body as colored 3-D segments.

Body frame: x forward, y to the gymnast's left, z up, origin near the center of mass; the unit of length
is the standing gymnast's height divided by about 1.65.  A salto turns the body about the lateral axis, a
twist about the long axis.  Everything here is a function of its arguments and a generator; nothing draws.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Range = tuple[float, float]
Shape = Literal["tucked", "piked", "stretched"]

TURN = 2 * np.pi
HIP, KNEE, SHOULDER, ELBOW = 0, 1, 2, 4
"""Columns of a pose: one hip and one knee angle for both legs, two shoulders, two elbows (left, right)."""

PEAKS: dict[Shape, tuple[float, float]] = {"tucked": (122, 128), "piked": (85, 0), "stretched": (-3, 4)}
"""Hip and knee flexion of each body shape, in degrees."""

LEFT, RIGHT = 1, -1


@dataclass(frozen=True)
class GymParameters:
    """Ranges that a clip is drawn from.  Pairs are (low, high) of a uniform draw, integers inclusive.

    Lengths called "of the frame" are fractions of the frame's side; `progress` runs from 0 at take-off
    to 1 at landing.  The values are those of the study that found a form in which unlabeled clips help:
    wider camera angles, colors or limbs made confident pseudo-labels wrong too often.
    """

    side: int = 96  # pixels
    fps: int = 25
    context_frames: tuple[int, int] = (1, 3)  # standing frames before, and as many drawn again after
    element_frames: tuple[int, int] = (20, 28)
    ease: float = 0.4  # ± asymmetry of the salto's speed
    wobble: float = 0.08  # ± sinusoidal change of the salto's speed, in turns
    fold: tuple[Range, Range] = ((0.0, 0.06), (0.14, 0.24))  # progress where the shape starts, is reached
    unfold: tuple[Range, Range] = ((0.76, 0.86), (0.92, 1.0))  # progress where it is left, is gone
    switch_at: Range = (0.42, 0.58)  # progress at the middle of a change from one shape to another
    switch_width: Range = (0.1, 0.2)  # progress that this change takes
    twist_window: tuple[Range, Range] = ((0.05, 0.28), (0.68, 0.95))  # progress where the twist starts, ends
    joint_sd: float = 2.4  # degrees, of every joint angle of a shape
    sway: float = 0.03  # radians, slow movement of all joints
    tilt: float = 5.0  # ± degrees, lean of the salto's start
    turnout: float = 8.0  # ± degrees, turn about the long axis besides the twist
    limb: float = 0.06  # ± share of every limb's length
    girth: float = 0.1  # ± share of all radii
    yaw: float = 14.0  # ± degrees, the camera's turn about the vertical
    figure: float = 0.48  # of the frame, per unit of length
    scale: float = 0.08  # ± share of the figure's size
    zoom: float = 0.05  # ± share, change of scale from the middle to either end of the clip
    pan: float = 0.03  # ± of the frame, movement of the camera from the middle to either end
    offset: tuple[float, float] = (0.06, 0.05)  # ± of the frame, position of the figure (x, y)
    travel: float = 0.08  # ± of the frame, horizontal path of the figure during the element
    jump: Range = (-0.01, 0.08)  # of the frame, height of the figure's path
    dim: float = 0.46  # brightness of the background against the figure's
    distractors: int = 1  # at most so many moving strokes behind the figure
    blur: Range = (0.0, 1.0)  # pixels, sd; below 0.5 nothing is blurred
    noise: Range = (0.005, 0.02)  # sd of pixel noise, of full brightness
    gain: Range = (0.8, 1.2)  # brightness of the whole clip
    crf: int = 27  # x264's constant rate factor: limbs and shading stay, most of the noise goes
    preset: str = "veryfast"  # of x264


@dataclass(frozen=True)
class Element:
    """What a class shows: the salto's direction, the shape before and after its middle, full twists.

    `direction` is 1 for a forward salto (the gymnast faces right) and -1 for a backward one.
    """

    direction: int
    shapes: tuple[Shape, Shape]
    twists: int


@dataclass(frozen=True)
class Motion:
    """One element over T frames.

    `progress` (T,) is the share of the element that has passed, `salto` and `twist` (T,) are angles in
    radians, `pose` (T, 6) holds joint angles in radians in the columns `HIP` to `ELBOW` + 1.
    """

    progress: Array
    salto: Array
    twist: Array
    pose: Array


@dataclass(frozen=True)
class Segments:
    """K capsules: `start`, `end` (T, K, 3) in the world, `radius` (K,), `color` (K, 3) RGB in [0, 1]."""

    start: Array
    end: Array
    radius: Array
    color: Array


def smoothstep(x: Array) -> Array:
    """The cubic that rises from 0 at x ≤ 0 to 1 at x ≥ 1 without a kink."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def hsv(hue: float, saturation: float, value: float) -> Array:
    """An RGB color (3,) from hue (any real, period 1), saturation and value."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def salto_angle(direction: int, progress: Array, ease: float, wobble: float) -> Array:
    """Angle of the body about the lateral axis, from 0 to one turn, in radians.

    Reversed in time, a forward salto with `ease` is (but for a full turn) a backward one with `-ease`:
    a single frame cannot tell which it is.

    Args:
        direction: 1 for forward, -1 for backward.
        progress: (T,) in [0, 1].
        ease: positive turns early, negative late.
        wobble: amplitude of a sinusoidal change of speed, in turns.
    """
    turned = progress + ease * progress * (1 - progress) + wobble * np.sin(TURN * progress)
    return direction * TURN * np.clip(turned, 0, 1)


def draw_motion(element: Element, parameters: GymParameters, rng: np.random.Generator) -> Motion:
    """Draw the timing and the poses of one clip of `element`."""
    p = parameters
    before, after = (int(rng.integers(p.context_frames[0], p.context_frames[1] + 1)) for _ in range(2))
    length = int(rng.integers(p.element_frames[0], p.element_frames[1] + 1))
    frame = np.arange(before + length + after)
    progress = np.clip((frame - before) / (length - 1), 0, 1)
    salto = salto_angle(
        element.direction, progress, rng.uniform(-p.ease, p.ease), rng.uniform(-p.wobble, p.wobble)
    )
    salto = salto + np.deg2rad(rng.uniform(-p.tilt, p.tilt))
    start, end = rng.uniform(*p.twist_window[0]), rng.uniform(*p.twist_window[1])
    turns = element.twists * int(rng.choice([-1, 1]))
    twist = turns * TURN * smoothstep((progress - start) / (end - start))
    twist = twist + np.deg2rad(rng.uniform(-p.turnout, p.turnout))
    pose = _draw_poses(element, progress, p, rng)
    sway = p.sway * np.sin(frame[:, None] * rng.uniform(0.3, 0.9, 6) + rng.uniform(0, 6, 6))
    return Motion(progress, salto, twist, pose + sway)


def _draw_poses(element: Element, progress: Array, p: GymParameters, rng: np.random.Generator) -> Array:
    """Joint angles (T, 6): stand, fold into the first shape, change to the second, stand again."""
    first = _draw_peak(element.shapes[0], element.twists, p, rng)
    same = element.shapes[0] == element.shapes[1]
    second = first if same else _draw_peak(element.shapes[1], element.twists, p, rng)
    take_off, landing = _draw_stand(p, rng), _draw_stand(p, rng)
    landing[[HIP, KNEE]] += np.deg2rad([rng.uniform(0, 20), rng.uniform(0, 30)])
    fold = _ramp(progress, rng.uniform(*p.fold[0]), rng.uniform(*p.fold[1]))
    unfold = _ramp(progress, rng.uniform(*p.unfold[0]), rng.uniform(*p.unfold[1]))
    middle, width = rng.uniform(*p.switch_at), rng.uniform(*p.switch_width)
    switch = _ramp(progress, middle - width / 2, middle + width / 2)
    pose = take_off * (1 - fold) + first * fold
    pose = pose * (1 - switch) + second * switch if not same else pose
    return np.asarray(pose * (1 - unfold) + landing * unfold)


def _ramp(progress: Array, start: float, end: float) -> Array:
    return smoothstep((progress - start) / (end - start))[:, None]


def _draw_stand(p: GymParameters, rng: np.random.Generator) -> Array:
    """A standing pose (6,): nearly straight, both arms raised by about the same angle."""
    arms = rng.uniform(0, 180) + rng.normal(0, p.joint_sd, 2)
    return np.deg2rad([rng.uniform(-5, 15), rng.uniform(0, 15), *arms, *rng.uniform(0, 20, 2)])


def _draw_peak(shape: Shape, twists: int, p: GymParameters, rng: np.random.Generator) -> Array:
    """The pose (6,) of a body shape; in a twist, every other gymnast raises one arm further.

    Arms hold the shins in a tuck, point past the feet in an open pike and lie at the body when stretched.
    """
    hip, knee = PEAKS[shape]
    jitter = rng.normal(0, p.joint_sd, 6)
    if shape == "tucked":
        pose = np.array([hip, knee, 48, 48, 25, 25]) + jitter
    elif shape == "piked":
        pose = np.array([hip, knee, 140, 140, 5, 5]) + jitter
        pose[KNEE] = knee + abs(jitter[KNEE]) / 2
        pose[ELBOW:] = 5 + abs(jitter[ELBOW:])
    else:
        pose = np.array([hip + jitter[HIP] / 2, knee + abs(jitter[KNEE]) / 2, *rng.uniform(0, 25, 4)])
    if twists and rng.random() < 0.5:
        pose[SHOULDER + rng.integers(2)] += rng.uniform(0, 50)
    return np.deg2rad(pose)


LENGTHS = {
    "torso": 0.5,
    "upper_arm": 0.27,
    "forearm": 0.25,
    "thigh": 0.42,
    "shank": 0.42,
    "half_shoulder": 0.15,
    "half_hip": 0.09,
}
"""Mean lengths of the body, in body units."""


@dataclass(frozen=True)
class Body:
    """One gymnast: `lengths` by the names of `LENGTHS`, RGB colors, `girth` a factor of all radii.

    `shade` is the brightness of the left and of the right limbs.
    """

    lengths: dict[str, float]
    girth: float
    skin: Array
    hair: Array
    leotard: Array
    legs: Array
    shade: tuple[float, float]


def draw_body(parameters: GymParameters, rng: np.random.Generator) -> Body:
    """Draw the lengths and colors of a gymnast.  Right limbs are darker: the camera sees which side turns."""
    leotard = hsv(rng.uniform(), rng.uniform(0.4, 1.0), rng.uniform(0.5, 1.0))
    skin = hsv(rng.uniform(0.04, 0.1), rng.uniform(0.25, 0.6), rng.uniform(0.55, 1.0))
    limb = parameters.limb
    return Body(
        lengths={name: mean * (1 + rng.uniform(-limb, limb)) for name, mean in LENGTHS.items()},
        girth=1 + rng.uniform(-parameters.girth, parameters.girth),
        skin=skin,
        hair=hsv(rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.5)),
        leotard=leotard,
        legs=leotard * 0.9 if rng.random() < 0.4 else skin,
        shade=(1.0, rng.uniform(0.7, 0.9)),
    )


def segments(body: Body, motion: Motion) -> Segments:
    """The body in motion as capsules in the world (x right, y away from the camera, z up)."""
    parts = [*_limbs(body, motion.pose, LEFT), *_limbs(body, motion.pose, RIGHT), *_trunk(body, motion.pose)]
    return Segments(
        _to_world(np.stack([part[0] for part in parts], 1), motion),
        _to_world(np.stack([part[1] for part in parts], 1), motion),
        np.array([part[2] for part in parts]) * body.girth,
        np.stack([part[3] for part in parts]),
    )


Part = tuple[Array, Array, float, Array]
"""Start (T, 3), end (T, 3), radius and color of one capsule in the body frame."""

MASS_CENTER = 0.12
"""Height of the center of rotation above the hips."""


def _still(frames: int, forward: float, left: float, up: float) -> Array:
    """A point (T, 3) that is fixed in the body frame."""
    return np.tile(np.array([forward, left, up]), (frames, 1))


def _swing(angle: Array) -> Array:
    """Unit vectors (T, 3) of a limb that hangs down at angle 0 and points forward at a quarter turn."""
    return np.stack([np.sin(angle), np.zeros_like(angle), -np.cos(angle)], 1)


def _limbs(body: Body, pose: Array, side: int) -> list[Part]:
    """Leg, arm and flank of one side; each thigh has a bright front and a dark back, the cue for twists."""
    frames, column = len(pose), 0 if side == LEFT else 1
    shade = body.shade[column]
    leg_angle = pose[:, HIP] + side * 0.04  # the legs are a little apart
    hip = _still(frames, 0, side * body.lengths["half_hip"], -MASS_CENTER)
    knee = hip + body.lengths["thigh"] * _swing(leg_angle)
    ankle = knee + body.lengths["shank"] * _swing(leg_angle - pose[:, KNEE])
    shoulder = _still(frames, 0, side * body.lengths["half_shoulder"], body.lengths["torso"] - MASS_CENTER)
    arm_angle = pose[:, SHOULDER + column]
    elbow = shoulder + body.lengths["upper_arm"] * _swing(arm_angle)
    hand = elbow + body.lengths["forearm"] * _swing(arm_angle + pose[:, ELBOW + column])
    front = _swing(leg_angle + np.pi / 2)
    return [
        (hip, knee, 0.085, body.legs * shade),
        (knee, ankle, 0.065, body.skin * shade),
        (shoulder, elbow, 0.06, body.skin * shade),
        (elbow, hand, 0.05, body.skin * shade),
        (hip, shoulder, 0.08, body.leotard * (1.0 if side == LEFT else 0.92)),
        (hip + front * 0.05, knee + front * 0.03, 0.06, np.clip(body.legs * 0.4 + 0.6, 0, 1)),
        (hip - front * 0.05, knee - front * 0.03, 0.06, body.legs * 0.4),
    ]


def _trunk(body: Body, pose: Array) -> list[Part]:
    """Spine, bright chest, dark back, head and hair (behind the head, so that it shows the facing)."""
    frames, neck_height = len(pose), body.lengths["torso"] - MASS_CENTER
    pelvis, neck = _still(frames, 0, 0, -MASS_CENTER), _still(frames, 0, 0, neck_height)
    front, down = np.array([0.075, 0, 0]), np.array([0, 0, -0.06])
    head, hair = neck + np.array([0.03, 0, 0.2]), neck + np.array([-0.08, 0, 0.22])
    return [
        (pelvis + front, neck + front + down, 0.085, np.clip(body.leotard * 0.3 + 0.7, 0, 1)),
        (pelvis - front, neck - front + down, 0.085, body.leotard * 0.25),
        (pelvis, neck, 0.1, body.leotard * 0.96),
        (head, head, 0.12, body.skin),
        (hair, hair, 0.11, body.hair),
    ]


def _to_world(points: Array, motion: Motion) -> Array:
    """Turn body points (T, K, 3) by the twist about the long axis, then by the salto about the lateral."""
    forward, left, up = points[..., 0], points[..., 1], points[..., 2]
    c, s = np.cos(motion.twist)[:, None], np.sin(motion.twist)[:, None]
    forward, left = forward * c - left * s, forward * s + left * c
    c, s = np.cos(motion.salto)[:, None], np.sin(motion.salto)[:, None]
    return np.stack([forward * c + up * s, left, -forward * s + up * c], -1)
