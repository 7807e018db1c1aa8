# %% [markdown]
# # VGG16: train the last four layers
#
# You adapt a pretrained network (the *backbone*) to two new classes. First, you train a new classifier (the *head*),
# which has a dense layer with 1,024 units. Then you train the head and the last four layers of the backbone, with
# RMSprop and a small learning rate.
#
# You need shardmill with the extra `train`, the photos `cats_and_dogs/{train,validation}/{cats,dogs}/*.jpg`, and, for
# MobileNetV2, the file `mobilenet_v2.weights.h5` with its ImageNet weights. Run the Python code in a Jupyter notebook,
# because some cells show pictures with IPython. **We ran the code on this page with MobileNetV2**, because no ImageNet
# weights of VGG16 were available. For VGG16, change two arguments of `train`: pass `model="vgg16"`, and omit `weights`,
# so that Keras downloads the weights. Train VGG16 on a GPU.
#
# ## Set some photos aside
#
# The following code copies one photo per class to the folder `new`, for the predictions at the end of this page. The
# code also writes the keys of these photos (their paths in the source) to `new.txt`. `convert` excludes the photos that
# this file lists.

# %%
import shutil
from pathlib import Path

Path("new").mkdir()
photos = [
    min(folder.glob("*.jpg")) for folder in sorted(Path("cats_and_dogs").glob("validation/*"))
]
for photo in photos:
    shutil.copy(photo, Path("new", f"{photo.parent.name}.jpg"))
keys = [f"{photo.relative_to('cats_and_dogs')}\n" for photo in photos]
Path("new.txt").write_text("".join(keys))

# %% [markdown]
# ## Convert
#
# The source contains the folders `train` and `validation`. `convert` makes a split of the same name from each folder. The
# argument `resize=224` resizes all photos to 224×224 pixels, the input size of both MobileNetV2 and VGG16.

# %%
import shardmill as sm

print(sm.convert("cats_and_dogs", "data", resize=224, exclude="new.txt"))

# %% [markdown]
# ## Fine-tune
#
# A run with the mode `finetune` has two phases:
#
# 1. For `head_epochs` epochs, `train` trains only the head, and the backbone is frozen. Without augmentation, shardmill
#    stores the outputs of the backbone for every photo (the *features*), so these epochs take only seconds. If
#    `head_epochs` is 0, a run does not have this phase.
# 2. For `epochs` epochs, `train` trains the head and the last four layers of the backbone.

# %%
result = sm.train(
    "data",
    "tuned",
    model="mobilenet_v2",
    mode="finetune",
    weights="mobilenet_v2.weights.h5",
    unfreeze=4,
    head_units=1024,
    head_dropout=0.5,
    head_epochs=5,
    epochs=1,
    optimizer="rmsprop",
    learning_rate=0.0001,
    on_message=print,
)
print(f"{result.trained_parameters:,} of {result.parameters:,} parameters trained")

# %%
from IPython.display import Image

Image("tuned/curves.png")

# %% [markdown]
# `unfreeze=4` selects the last four layers in the order in which Keras lists the layers. In VGG16, these layers are the
# three convolutions of block 5 and the pooling layer after these convolutions. In MobileNetV2, these layers are a batch
# normalization layer, the last convolution, another batch normalization layer and the activation. Batch normalization
# layers stay frozen, even if `unfreeze` selects them ([models](../reference/models.md#backbone-and-head)).
#
# ## Fine-tune VGG16
#
# The following command trains VGG16 with the same settings, but for more epochs. The command omits `--weights`, because
# the default value of this option is `imagenet` for the mode `finetune`.
#
# ```console
# $ shardmill train data/ vgg16/ --model vgg16 --mode finetune --unfreeze 4 --head-units 1024 \
#     --head-dropout 0.5 --head-epochs 5 --epochs 20 --optimizer rmsprop --learning-rate 0.0001
# ```
# <!-- not run: lets Keras download ImageNet's weights -->
#
# ## Evaluate

# %%
evaluation = sm.evaluate("tuned")
print(f"accuracy {evaluation.accuracy:.1%} on {evaluation.images} images of {evaluation.split}")
for metrics in evaluation.per_class:
    print(f"{metrics.name:10} precision {metrics.precision:.1%}  recall {metrics.recall:.1%}")

# %% [markdown]
# The command `shardmill evaluate` also draws the confusion matrix, the reliability diagram (the accuracy for each
# confidence), and a picture of the wrong predictions with the highest scores.
#
# ## Predict new photos

# %%
for prediction in sm.Predictor("tuned").predict_files(sorted(Path("new").iterdir())):
    print(prediction.path, prediction.class_name, f"{prediction.score:.3f}")

# %% [markdown]
# ## Export
#
# The Keras file contains the head, the backbone and the preprocessing, so the model receives pixels from 0 to 255.

# %%
sm.export("tuned", "exported", format="keras")

# %%
import keras
import numpy as np
from PIL import Image as Picture

model = keras.models.load_model("exported/model.keras")
pixels = np.array(Picture.open("new/dogs.jpg").convert("RGB").resize((224, 224)))
print(
    model.predict(pixels[None], verbose=0).round(3), Path("exported/labels.txt").read_text().split()
)

# %% [markdown]
# ## Comparison with the original
#
# The following table compares this tutorial with a Keras tutorial that adapts VGG16 ("the original").
#
# | step of the original | equivalent in shardmill |
# | --- | --- |
# | `VGG16(weights="imagenet", include_top=False)` | `--model vgg16`, with `--weights imagenet` as the default |
# | `for layer in vgg.layers[:-4]: layer.trainable = False` | `--unfreeze 4` |
# | `Flatten`, `Dense(1024)`, `Dropout(0.5)`, `Dense` with softmax | `--pooling flatten --head-units 1024 --head-dropout 0.5` |
# | training of the head on saved features, which `predict` computed | `--head-epochs 5`, which trains the head on the feature store |
# | `RMSprop(1e-4)` | `--optimizer rmsprop --learning-rate 0.0001` |
# | `ImageDataGenerator(rotation_range=20, …)` | `--augment rotate=20,…` |
# | a loop that shows the wrong predictions with `load_img` | `evaluate`, which draws `mistakes-validation.png` |
# | `model.save` | `export` |
#
# By default (`--pooling avg`), the head averages the feature map of the backbone before the dense layer. With
# `--pooling flatten`, the dense layer on VGG16 has 25,691,136 parameters; with `--pooling avg`, it has 525,312
# parameters.
#
# ## Measured
#
# The fine-tuned MobileNetV2 classifies 98.5 % of the 198 validation photos correctly. ImageNet contains photos of cats
# and dogs, so the head alone reaches the same accuracy after its first epoch.
#
# We also trained VGG16 with the head of this tutorial on photos of the five classes in `flowers/`, the source of [the
# flower tutorial](flowers-cnn.md). This network has 15,245,125 parameters, of which 7,609,861 are trained:
#
# - 7,079,424 parameters in the three convolutions of block 5
# - 512 × 1024 + 1024 = 525,312 parameters in the dense layer
# - 1024 × 5 + 5 = 5,125 parameters in the layer for the logits
#
# On two CPU cores, six training steps with 8 photos each, and the validation on 305 photos, take 120 s. In this
# measurement, the weights of VGG16 started with random values, so we did not compare the accuracy with that of the
# original. These commands ran the six steps:
#
# ```console
# $ shardmill convert flowers/ flowers-v/ --validation 0.2
# $ shardmill train flowers-v/ vgg16-steps/ --model vgg16 --mode finetune --weights none --unfreeze 4 \
#     --head-units 1024 --head-dropout 0.5 --head-epochs 0 --optimizer rmsprop \
#     --learning-rate 0.0001 --steps 6 --batch-size 8
# ```
# <!-- not run: takes minutes, and needs the data -->
