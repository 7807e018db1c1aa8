# %% [markdown]
# # Retrain Inception-v3 with cached bottlenecks
#
# You train a new classifier (the *head*) on a pretrained network (the *backbone*). The backbone processes each photo
# only once, and shardmill stores the outputs of the backbone. On this page, these outputs are called *features*. This
# tutorial corresponds to `retrain.py` of TensorFlow ("the original" below), which calls the features *bottlenecks*. You
# also train Inception-v3 from scratch for a number of steps, with checkpoints.
#
# You need shardmill with the extra `train`, the photos `flowers/CLASS/*.jpg`, and a file with the ImageNet weights of the
# backbone. Run the Python code in a Jupyter notebook, because some cells show pictures with IPython. We ran the code on
# this page with MobileNetV2, because no ImageNet weights of Inception-v3 were available. For Inception-v3, change two
# values in the dictionary `backbone`: set `model` to `inception_v3`, and `weights` to `imagenet`, so that Keras downloads
# the weights. All other code stays the same.
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
photos = [min(folder.glob("*.jpg")) for folder in sorted(Path("flowers").iterdir())]
for photo in photos:
    shutil.copy(photo, Path("new", f"{photo.parent.name}.jpg"))
keys = [f"{photo.parent.name}/{photo.name}\n" for photo in photos]
Path("new.txt").write_text("".join(keys))

# %% [markdown]
# ## Convert to TFRecord
#
# As in the original, about a tenth of the photos are used for validation, and about a tenth for testing. `--shards 2`
# sets the number of shards of `train`. Each record is a `tf.train.Example`, whose named values
# TensorFlow also calls features. They have the same names as those of `build_image_data.py` of Inception. `convert` and
# `build_image_data.py` differ in these properties:
#
# | property | `build_image_data.py` | `convert` |
# | --- | --- | --- |
# | name of a shard | `train-00000-of-00002` | `train-00000-of-00002.tfrecord` |
# | feature `image/colorspace` of the `tf.train.Example` | yes | no |
# | smallest label | 1 | 0 |

# %%
# !shardmill convert flowers/ data/ --validation 0.1 --test 0.1 --shards 2 --resize 224 --exclude new.txt
# !ls data/

# %% [markdown]
# ## Train a new head
#
# With the mode `transfer`, the weights of the backbone do not change. In the first run, the backbone processes every
# photo of the splits `train` and `validation`, and `sm.train` stores the features. The batch size of 100 and the learning
# rate of 0.01 are those of the original. With this batch size, 25 epochs have 300 steps.

# %%
import shardmill as sm

backbone = {"model": "mobilenet_v2", "weights": "mobilenet_v2.weights.h5"}
settings = {"mode": "transfer", "epochs": 25, "batch_size": 100, "learning_rate": 0.01}
first = sm.train("data", "first", **backbone, **settings, on_message=print)

# %% [markdown]
# ## Train a different head
#
# The second run trains a head with different settings. This run reuses the features of the first run, so it takes only
# seconds.

# %%
second = sm.train(
    "data", "second", **backbone, **settings, schedule="cosine", l2=0.01, head_dropout=0.3
)
for result in (first, second):
    print(f"{result.run:6}  val_accuracy {result.val_accuracy:.3f}  {result.seconds:.0f} s")

# %%
from IPython.display import Image

Image("second/curves.png")

# %% [markdown]
# To compute the features of many images on several machines, use [`featurize`](../how-to/feature-stores.md).
#
# ## Evaluate on the test split

# %%
evaluation = sm.evaluate("second")
print(f"accuracy {evaluation.accuracy:.1%} on {evaluation.images} images of {evaluation.split}")
for metrics in evaluation.per_class:
    print(f"{metrics.name:10} precision {metrics.precision:.1%}  recall {metrics.recall:.1%}")

# %% [markdown]
# The command `shardmill evaluate` also draws the confusion matrix, the reliability diagram (the accuracy for each
# confidence), and a picture of the wrong predictions with the highest scores.
#
# ## Predict new photos

# %%
for prediction in sm.Predictor("second").predict_files(sorted(Path("new").iterdir())):
    print(prediction.path, prediction.class_name, f"{prediction.score:.2f}")

# %% [markdown]
# Damaged files do not stop `predict`. For example, a folder contains 90 photos, and ten files that are truncated, empty
# or filled with random bytes. For this folder, `shardmill predict run/ new/ --csv predictions.csv` writes 90 rows with
# a class, and ten rows with a reason (`truncated`, `empty` or `corrupt`). The command ends with exit code 0.
#
# ## Export
#
# The original writes the files `output_graph.pb` and `output_labels.txt`. A SavedModel replaces both files: it receives
# the contents of image files, and returns class names and scores.

# %%
sm.export("second", "served/1", format="saved_model")
print(*sorted(path.name for path in Path("served/1").iterdir()))

# %% [markdown]
# ## Train Inception-v3 from scratch for a number of steps
#
# All weights start with random values, and all weights are trained. `steps` is the number of training steps (one batch
# per step), like `max_steps` of `inception_train`, a TensorFlow library that trains Inception. With `checkpoint_steps=1`,
# `train` writes a checkpoint after each step. This example has only two steps and small images, so it shows only that
# training works. The section [Measured](#measured) contains the results of 300 steps.

# %%
scratch = {"model": "inception_v3", "image_size": 96, "steps": 2, "batch_size": 8}
sm.train("data", "scratch", **scratch, learning_rate=0.0003, checkpoint_steps=1, on_message=print)

# %%
print(*sorted(path.name for path in Path("scratch/checkpoints").iterdir()))

# %% [markdown]
# If the run is killed, the same call with `resume=True` continues from the newest checkpoint, even if this checkpoint was
# written in the middle of an epoch. On a CPU, the resumed run ends with the same weights as an uninterrupted run.
#
# In addition to `imagenet`, `--weights` accepts a weights file or a run folder. For example, with
# `--mode transfer --weights scratch/`, `train` computes the features with the backbone of the run `scratch/`.
#
# ## Comparison with the original
#
# | step of the original | equivalent in shardmill |
# | --- | --- |
# | `build_image_data.py` with its label file and its lists | `convert` |
# | download of a frozen graph | `--weights` with `imagenet`, a weights file or a run folder |
# | `--bottleneck_dir`, a folder with one text file per photo | one feature store in float16, which all runs with the same dataset, backbone, image size and pooling share |
# | `--testing_percentage 10 --validation_percentage 10` | `convert --test 0.1 --validation 0.1` |
# | `--how_many_training_steps 4000 --train_batch_size 100` | `train --steps 4000 --batch-size 100`, or `--epochs N` instead of `--steps` |
# | `--flip_left_right --random_scale …`; with these options, bottlenecks are not cached | `--augment flip,zoom=0.2`; with this option, features are not stored |
# | `inception_train` with `max_steps` and checkpoints | `train` with `--steps`, `--checkpoint-steps` and `--resume` |
# | `label_image.py` | `predict` |
# | `output_graph.pb` and `output_labels.txt` | `export` |
#
# ## Measured
#
# We used all 1,500 photos, about a fifth of them for validation. With `--resize 384`, the head on MobileNetV2 reaches a
# mean validation accuracy of 88.6 % over three conversions with different seeds, and thus different splits (87.9 %, 85.3
# % and 92.7 %). The original reports 90 to 95 % with Inception-v3 on 3,670 photos.
#
# The following table shows the mean accuracy and the range of the times for the same three seeds, on two CPU cores
# without a GPU. The first run computes the features, and the second run reuses the features. The times do not include
# the start of TensorFlow, which takes another 10 s per command:
#
# | `--resize` | mean validation accuracy | time of the first run | time of the second run | first run / second run |
# | --- | --- | --- | --- | --- |
# | 224 | 86.8 % | 31 to 37 s | 2.4 to 3.5 s | 9 to 15 |
# | 288 | 88.7 % | 44 to 62 s | 2.6 to 3.1 s | 14 to 24 |
# | 384 | 88.6 % | 74 to 84 s | 2.5 to 3.3 s | 23 to 30 |
#
# For each seed, these commands convert the photos with `--resize 384`, and train the head:
#
# ```console
# $ for seed in 0 1 2; do shardmill convert flowers/ flowers-$seed/ --validation 0.2 --seed $seed \
#     --resize 384; done
# $ for seed in 0 1 2; do shardmill train flowers-$seed/ transfer-$seed/ --model mobilenet_v2 \
#     --mode transfer --weights mobilenet_v2.weights.h5 --epochs 10 --batch-size 128 \
#     --learning-rate 0.01 --schedule cosine --l2 0.01 --head-dropout 0.3; done
# ```
# <!-- not run: takes minutes, and needs the data -->
#
# For comparison, logistic regression (scikit-learn, C = 0.1) on the features of `--resize 224` reaches 87.4 %. The head
# reaches 87.2 % on these features after 25 epochs with batches of more than 128 photos.
#
# If a run is killed while it computes features, the feature store keeps the features of the finished shards. The next
# run computes only the features of the other shards.
#
# Fine-tuning adapts the backbone to flowers. After three epochs that train the head and the last 30 layers of the
# backbone, the validation accuracy is 91.1 %. The head alone reaches 87.9 % on the same validation photos. The
# fine-tuning run takes 260 s:
#
# ```console
# $ shardmill train flowers-0/ finetune-0/ --model mobilenet_v2 --mode finetune \
#     --weights mobilenet_v2.weights.h5 --head-epochs 20 --unfreeze 30 --epochs 3 \
#     --learning-rate 0.0001 --schedule cosine --l2 0.004 --head-dropout 0.3
# ```
# <!-- not run: takes minutes, and needs the data -->
#
# Training Inception-v3 from scratch for 300 steps, with batches of 8 photos of 299×299 pixels, takes 29 minutes on two
# CPU cores that other processes also use. The mean training loss is 1.51 in the first epoch, and 1.21 in the second
# epoch. For comparison, equal probabilities for all classes give a loss of 1.61. The training accuracy rises from 41 %
# to 51 %.
#
# The validation accuracy is only 22 %, because of batch normalization. For validation, batch normalization uses moving
# averages over hundreds of training steps, and the weights change faster than these averages. On a GPU, you can train
# for many epochs: use `--epochs` instead of `--steps`.
#
# The following commands train Inception-v3 for 300 steps, and then use its backbone for a new head and for fine-tuning:
#
# ```console
# $ shardmill convert flowers/ flowers-v/ --validation 0.2
# $ shardmill train flowers-v/ inception/ --model inception_v3 --steps 300 --batch-size 8 \
#     --learning-rate 0.0003 --checkpoint-steps 50 --keep-checkpoints 3 --resume
# $ shardmill train flowers-v/ reused/ --model inception_v3 --mode transfer --weights inception/ \
#     --epochs 25 --batch-size 512 --learning-rate 0.01 --schedule cosine
# $ shardmill train flowers-v/ tuned/ --model inception_v3 --mode finetune \
#     --weights inception/model.weights.h5 --head-epochs 5 --unfreeze 20 --steps 20 --batch-size 16
# $ shardmill export inception/ exported/
# $ python -c "import keras; model = keras.models.load_model('exported/model.keras'); \
#     model.get_layer('inception_v3').save_weights('base.weights.h5')"
# $ shardmill train flowers-v/ tuned-base/ --model inception_v3 --mode finetune \
#     --weights base.weights.h5 --head-epochs 5 --unfreeze 20 --steps 20 --batch-size 16
# ```
# <!-- not run: takes half an hour, and needs the data -->
#
# The run `reused/` takes 209 s, of which 200 s are for the features. A run for a second head takes only 7 s. The
# validation accuracy of the first head is 43.9 %.
#
# The two fine-tuning runs take 162 s and 159 s, and both reach a validation accuracy of 45.6 %. The results are equal,
# because both weights files contain the same backbone. `inception/model.weights.h5` also contains the classifier;
# `base.weights.h5` does not contain the classifier.
#
# This backbone was trained on only 1,200 photos for two epochs. Therefore, these results show that the commands work,
# but not how accurate Inception-v3 can be.
#
# We made no measurements on a GPU. `shardmill doctor data/` compares the speed of the input pipeline with the speed of
# the model on your machine. If the input pipeline is slower, convert the photos with `--store raw`, and with `--resize`
# to the input size of the model. Then `train` does not need to decode the photos ([profiling](../how-to/profiling.md)).
