"""What is done to a picture: any mode, any size; no crop."""

from torchvision import transforms

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def get_transform(image_size=384):
    return transforms.Compose(
        [
            lambda picture: picture.convert("RGB"),
            transforms.Resize((image_size, image_size)),
            transforms.ToTensor(),
            transforms.Normalize(mean=MEAN, std=STD),
        ]
    )
