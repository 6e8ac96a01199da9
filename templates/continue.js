// Goes on where the person has agreed before. Without scripts they press the button themselves.
const button = document.getElementById("continue");
button.form.requestSubmit(button);
