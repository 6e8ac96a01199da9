// Continues to an application that the user authorized before. Without scripts the user presses the button.
const button = document.getElementById("continue");
button.form.requestSubmit(button);
