"""Models of ground motion, published and learned: scenarios in, distributions of shaking out."""

from kaname.modeling.ground_motion.contract import (
    GroundMotionModel,
    Prediction,
    get_model,
    model,
    names,
    needed,
)

__all__ = ["GroundMotionModel", "Prediction", "get_model", "model", "names", "needed"]
